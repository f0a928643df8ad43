/**
 * The client library: find the daemon of this machine, connect, send, read, subscribe.
 *
 * A client has no state that must be kept: what it has not acknowledged comes again.
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon } from "@postern/postern/client";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.send({ kind: "notify", payload: "hello" });
 * console.log((await client.inbox()).messages);
 * ```
 *
 * @module
 */

export type { Client } from "./client.ts";
export { connect, type ConnectOptions } from "./connect.ts";
export { type Closed, MAX_LINE_BYTES } from "./connection.ts";
export { type DirectoryOptions, type Environment, resolveDirectory } from "./directory.ts";
export {
  type Discovery,
  findTarget,
  readDiscovery,
  type Target,
  type TargetOptions,
} from "./discovery.ts";
export {
  ConnectionError,
  type ConnectionErrorCode,
  type ErrorCode,
  PosternError,
  shown,
} from "./errors.ts";
export type { RequestOptions } from "./exchange.ts";
export type { LinkNotice } from "./link.ts";
export type * from "./messages.ts";
export type {
  CallArguments,
  OperationDescription,
  OperationName,
  OperationParams,
  OperationResult,
  OtherName,
} from "./operations.ts";
export type { InboxOptions, SubscribeOptions } from "./options.ts";
export type { ReconnectOptions } from "./reconnect.ts";
export type { Provision } from "./provision.ts";
export type * from "./records.ts";
export type {
  Checked,
  IncomingCall,
  Issue,
  ProvideOptions,
  ServiceMethods,
  StandardSchema,
} from "./services.ts";
export type { Subscription } from "./subscription.ts";
export { startTemporaryDaemon, type TemporaryDaemon } from "./temporary_daemon.ts";
export { VERSION } from "../core/version.ts";
export type { Watch } from "./watch.ts";
