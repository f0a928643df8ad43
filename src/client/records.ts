/**
 * What a client says of records and gets of them.
 *
 * A record's value is any JSON value; a program that knows more names its type, and nothing here checks it. That is
 * for the record's schema.
 */

import type { RequestOptions } from "./exchange.ts";
import type { OperationResult } from "./operations.ts";

/**
 * What a record holds.
 *
 * @example
 * ```ts
 * import { connect, type RecordValue, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.call("record.define", { name: "sensor.temp" });
 * await client.set("sensor.temp", 21.5);
 * const held: RecordValue<number> = await client.get<number>("sensor.temp");
 * assert(held.value === 21.5 && held.sequence === 1);
 * ```
 */
export type RecordValue<T = unknown> = Omit<OperationResult<"record.get">, "value"> & {
  readonly value: T;
};

/**
 * The daemon's word that a value is set: on disk, unless the record is volatile.
 *
 * @example
 * ```ts
 * import { connect, type SetReceipt, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.call("record.define", { name: "door" });
 * const receipt: SetReceipt = await client.set("door", "open");
 * assert(receipt.sequence === 1 && /^\d+\.\d{9}$/.test(receipt.timestamp));
 * ```
 */
export type SetReceipt = OperationResult<"record.set">;

/**
 * A value of a record as a watch brings it. `timestamp` is `"secs.nanosecs"` since 1970.
 *
 * @example
 * ```ts
 * import { connect, type RecordUpdate, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.call("record.define", { name: "door" });
 * await client.set("door", "open");
 * await using watch = client.watch<string>("door");
 * const update: RecordUpdate<string> | undefined = (await watch.next()).value;
 * assert(update?.value === "open" && update.dropped === undefined);
 * ```
 */
export type RecordUpdate<T = unknown> = RecordValue<T> & {
  readonly name: string;
  /** Updates of this watch, of whichever record, that were dropped since the one before; absent for none. */
  readonly dropped?: number;
};

/**
 * What the daemon promised when a watch began.
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon, type WatchStart } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await using watch = client.watch("sensor.>", { queueSize: 10 });
 * const start: WatchStart = await watch.started;
 * assert(start.queue_size === 10);
 * ```
 */
export type WatchStart = OperationResult<"record.subscribe">;

/**
 * What may be asked of a watch. `timeoutMs` is for its beginning, `signal` ends it at any time.
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon, type WatchOptions } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.call("record.define", { name: "door" });
 * await client.set("door", "shut");
 * const options: WatchOptions = { sendInitial: false, queueSize: 1 };
 * await using watch = client.watch("door", options);
 * await client.set("door", "open");
 * assert((await watch.next()).value?.value === "open");
 * ```
 */
export interface WatchOptions extends RequestOptions {
  /**
   * Updates that may wait at the daemon, and again as many here, before the oldest is dropped: 1 to 100,000.
   *
   * @default the daemon's `records.queue_size`
   */
  readonly queueSize?: number;
  /** Begin with what the records hold, now and after each reconnect. @default {true} */
  readonly sendInitial?: boolean;
}

/**
 * What may be asked of a set.
 *
 * @example
 * ```ts
 * import { connect, PosternError, type SetOptions, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.call("record.define", { name: "owner" });
 * const options: SetOptions = { ifSequence: 0 };
 * await client.set("owner", "first", options);
 * const late = await client.set("owner", "second", options).catch((error) => error);
 * assert(late instanceof PosternError && late.code === "conflict" && late.details?.sequence === 1);
 * ```
 */
export interface SetOptions extends RequestOptions {
  /** Set only if the record's present value has this sequence, 0 for none yet; else `conflict`. */
  readonly ifSequence?: number;
}
