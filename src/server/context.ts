/** What the connections of one server share: services, limits, and the accounts of what they hold. */

import type { CodecSettings } from "../codecs/codec.ts";
import type { Log } from "../core/ports.ts";
import type { Services } from "../operations/operation.ts";
import type { SharedEncodings } from "./shared_encodings.ts";

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
  /** The limits as they are now; a reload changes them. */
  limits(): ServerLimits;
  /** Bytes that one connection's outbox may take now. */
  outboxShare(): number;
  /**
   * Accounts for unfinished lines.
   *
   * @param bytes What a connection's buffer grew by, or shrank.
   * @returns Whether all of them together are still within bounds.
   */
  holdInput(bytes: number): boolean;
  /** Accounts for what waits to be written; a negative number of bytes has been. */
  holdOutput(bytes: number): void;
}
