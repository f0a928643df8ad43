/**
 * Events as server-sent events: docs/protocol/http.md.
 *
 * A codec that only tells: what is asked for comes as an HTTP request, and so does its refusal. An event is a
 * `message` whose id is its seq; a lost range is a `gap` of its own before it, whose id is its last seq.
 */

import type { PosternError } from "../core/errors.ts";
import type { LogEvent } from "../core/event.ts";
import type { Gap } from "../core/read.ts";
import type { Codec, DecodedMessage, Delivery } from "./codec.ts";
import { againField } from "./json.ts";

/** A stream of server-sent events. */
export class SseCodec implements Codec {
  readonly dialect = "sse";
  readonly singleSubscription = true;
  readonly calls = null;
  readonly isRemote = false;
  readonly isOver = false;
  readonly hearsBroadcast = false;

  decode(): DecodedMessage {
    throw new Error("a stream of server-sent events takes no requests");
  }

  opens(): boolean {
    return false;
  }

  encodeResult(): null {
    return null;
  }

  encodeError(_tag: unknown, error: PosternError): string {
    return frame("error", null, JSON.stringify({ code: error.code, message: error.message }));
  }

  encodeBatch(): null {
    return null;
  }

  encodeEvent(event: LogEvent, { replay, again, gap }: Delivery): string {
    const { seq, bufferedAtMs, envelope } = event;
    const data =
      `{"seq":${seq},"buffered_at_ms":${bufferedAtMs},"replay":${replay},${againField(again)}` +
      `"envelope":${envelope}}`;
    return `${gap === null ? "" : gapFrame(gap)}${frame("message", seq, data)}`;
  }

  /** Records are told in other dialects. */
  encodeRecordEvent(): string {
    return "";
  }

  encodeBroadcast(): string {
    return "";
  }

  sharedEncoding({ replay }: { replay: boolean }): string {
    return replay ? "sse replay" : "sse live";
  }
}

/** Says that what the client has read was of another log, or is not there: it begins anew. */
export function resetFrame(epoch: string, headSeq: number): string {
  return `${frame("reset", 0, JSON.stringify({ epoch, head_seq: headSeq }))}\n`;
}

/** What keeps an idle stream from being taken for a dead one. */
export const HEARTBEAT = ": heartbeat\n\n";

/** Says which seqs are lost. */
export function gapFrame(gap: Gap): string {
  const data = JSON.stringify({ from_seq: gap.from_seq, to_seq: gap.to_seq });
  return `${frame("gap", gap.to_seq, data)}\n`;
}

/** Without the last line end, which whoever writes lines adds. */
function frame(event: string, id: number | null, data: string): string {
  const idLine = id === null ? "" : `id: ${id}\n`;
  return `event: ${event}\n${idLine}data: ${data}\n`;
}
