/**
 * Chooses the dialect of a connection by its first message.
 *
 * A new dialect is one codec and one line in the table; the rows apply in order.
 */

import { AimxCodec, isAimx } from "./aimx.ts";
import { AxonCodec, isAxon } from "./axon.ts";
import type { Codec, CodecSettings } from "./codec.ts";
import { isJsonRpc, JsonRpcCodec } from "./json_rpc.ts";

interface Dialect {
  readonly matches: (message: unknown) => boolean;
  readonly open: (settings: CodecSettings) => Codec;
}

const DIALECTS: readonly Dialect[] = [
  { matches: isAxon, open: (settings) => new AxonCodec(settings) },
  { matches: isAimx, open: () => new AimxCodec() },
  { matches: isJsonRpc, open: () => new JsonRpcCodec() },
];

/** How a first message has to begin, for whoever began otherwise. */
export const DIALECTS_BEGIN =
  'a first message must be an object with "cmd", "hello" (an object) or "method", or an array';

/** The codec for a connection that began with `message`, or `null` when no dialect begins like that. */
export function chooseDialect(message: unknown, settings: CodecSettings): Codec | null {
  return DIALECTS.find(({ matches }) => matches(message))?.open(settings) ?? null;
}

/** In which dialect a connection is answered that has chosen none yet. */
export function fallbackCodec(settings: CodecSettings): Codec {
  return new AxonCodec(settings);
}

/** For a connection that stays silent: it listens, where that is spoken, else `null`. */
export function listeningCodec(settings: CodecSettings): Codec | null {
  if (!settings.allowV1) return null;
  const codec = new AxonCodec(settings);
  codec.listenAsV1();
  return codec;
}
