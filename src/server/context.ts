/** What the connections of one server share: services, limits, and the accounts of what they hold. */

import type { CodecSettings } from "../codecs/codec.ts";
import type { PosternError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { Principal } from "../core/principal.ts";
import type { Services } from "../operations/operation.ts";
import type { SharedEncodings } from "./shared_encodings.ts";
import type { Turns } from "./turns.ts";

/** Bounds of the server; configuration gives them. */
export interface ServerLimits {
  readonly maxLineBytes: number;
  readonly maxConnections: number;
  readonly maxInFlight: number;
  readonly maxSubscriptions: number;
  readonly outboxBytes: number;
  readonly helloTimeoutMs: number;
  /** Whether every connection counts as the owner's. */
  readonly trustSocket: boolean;
}

/** What connections share. */
export interface ServerContext {
  readonly services: Services;
  readonly codecSettings: CodecSettings;
  readonly diagnostics: Log;
  readonly shared: SharedEncodings;
  /** For whoever has much to do, so that the others are served in between. */
  readonly turns: Turns;
  /** The limits as they are now; a reload changes them. */
  limits(): ServerLimits;
  /** Whom a connection without a token stands for: the owner where the socket is trusted, else nobody. */
  trusted(): Principal | null;
  /** What may be told of an error: what nobody expected is logged under an id, and only the id is told. */
  asRefusal(error: unknown): PosternError;
  /** Bytes that one connection's outbox may take now. */
  outboxShare(): number;
  /**
   * Accounts for unfinished lines, by what a connection's buffer grew or shrank. When all of them together
   * are too much, whoever holds most of it is ended, strangers first.
   */
  holdInput(bytes: number): void;
  /**
   * Accounts for characters of record updates that wait for whoever does not read.
   *
   * @returns Whether all of them together are too much, so that each keeps its newest only.
   */
  holdRecords(chars: number): boolean;
  /** Accounts for what waits to be written; a negative number of bytes has been. */
  holdOutput(bytes: number): void;
  /** Whether so many bytes more may wait to be written; who may not is pumped when they may. */
  mayHoldOutput(bytes: number): boolean;
}
