/**
 * Chooses the dialect of a connection by its first message.
 *
 * A new dialect is one codec and one line in the table; the rows apply in order.
 */

import { AxonCodec, isAxon } from "./axon.ts";
import type { Codec, CodecSettings } from "./codec.ts";

interface Dialect {
  readonly matches: (message: unknown) => boolean;
  readonly open: (settings: CodecSettings) => Codec;
}

const DIALECTS: readonly Dialect[] = [
  { matches: isAxon, open: (settings) => new AxonCodec(settings) },
];

/** The codec for a connection that began with `message`, or `null` when no dialect begins like that. */
export function chooseDialect(message: unknown, settings: CodecSettings): Codec | null {
  return DIALECTS.find(({ matches }) => matches(message))?.open(settings) ?? null;
}
