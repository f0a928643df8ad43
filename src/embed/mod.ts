/**
 * Postern inside a program: live records that other processes may read, and set where the program allows it.
 *
 * The daemon runs in the program's own process with the program's own rights, without the sandbox that
 * `postern daemon` has. It needs Deno KV (`--unstable-kv`), and the rights to read and write its files and its socket.
 *
 * @example
 * ```ts
 * import { postern } from "@postern/postern/embed";
 * import { assert } from "@std/assert";
 *
 * await using db = await postern().withRemoteAccess().record("SensorData").build();
 * await using watch = db.record("SensorData").watch();
 * await db.record("SensorData").set(21.5);
 * assert((await watch.next()).value?.value === 21.5);
 * ```
 *
 * @module
 */

export { postern, type PosternBuilder } from "./builder.ts";
export type { EmbeddedDaemon } from "./daemon.ts";
export type {
  JsonSchema,
  RecordOptions,
  RecordSchema,
  RemoteAccessOptions,
  ValueOf,
} from "./options.ts";
export type { EmbeddedRecord } from "./record.ts";
export type { EmbeddedWatchOptions } from "./watch.ts";
export type { RecordUpdate, RecordValue, SetReceipt } from "../client/records.ts";
export type { Watch } from "../client/watch.ts";
export { type ErrorCode, PosternError } from "../core/errors.ts";
