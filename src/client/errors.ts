/**
 * What a client may meet: refusals of the daemon, and a connection that is not there.
 *
 * A refusal is a {@linkcode PosternError} with the daemon's own code. Everything about the way to the daemon
 * is a {@linkcode ConnectionError}, with the code that programs know from their systems.
 */

export { type ErrorCode, PosternError, shown } from "../core/errors.ts";

/**
 * What can go wrong between a client and a daemon.
 *
 * @example
 * ```ts
 * import { ConnectionError, type ConnectionErrorCode } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * const code: ConnectionErrorCode = "ECONNREFUSED";
 * assert(new ConnectionError(code, "nobody listens").noDaemon);
 * ```
 */
export type ConnectionErrorCode =
  /** No socket: no daemon has been started here. */
  | "ENOENT"
  /** A socket that nobody listens on: the daemon has ended without cleaning up. */
  | "ECONNREFUSED"
  /** The system does not let us reach the socket. */
  | "EACCES"
  /** The daemon accepted the connection and said nothing in time. It may be busy. */
  | "ETIMEDOUT"
  /** The connection ended. What had no reply yet may or may not have happened. */
  | "ECONNRESET"
  /** What came is not what a daemon says. */
  | "EPROTO";

/**
 * The way to the daemon failed.
 *
 * @example
 * ```ts
 * import { connect, ConnectionError } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * try {
 *   await connect({ dir: "/nowhere", env: new Map() });
 * } catch (error) {
 *   if (!(error instanceof ConnectionError)) throw error;
 *   assert(error.code === "ENOENT" && error.noDaemon);
 * }
 * ```
 */
export class ConnectionError extends Error {
  readonly code: ConnectionErrorCode;

  constructor(code: ConnectionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ConnectionError";
    this.code = code;
  }

  /** Whether the reason is that no daemon runs. */
  get noDaemon(): boolean {
    return this.code === "ENOENT" || this.code === "ECONNREFUSED";
  }
}
