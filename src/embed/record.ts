/** One record of the program that holds it: set, read, watched without a socket, by the same rules as from outside. */

import type { RecordValue, SetReceipt } from "../client/records.ts";
import type { Watch } from "../client/watch.ts";
import { encodeJson } from "../codecs/json.ts";
import type { LocalCaller } from "../daemon/local_caller.ts";
import { jsonValue } from "./json_value.ts";
import { EmbeddedWatch, type EmbeddedWatchOptions } from "./watch.ts";

/**
 * A record of this program. It counts as one producer of it.
 *
 * @example
 * ```ts
 * import { type EmbeddedRecord, postern } from "@postern/postern/embed";
 * import { assert } from "@std/assert";
 *
 * await using db = await postern().record("door", { type: "string" }).build();
 * const door: EmbeddedRecord = db.record("door");
 * const { sequence } = await door.set("open");
 * const { value } = await door.get();
 * assert(sequence === 1 && value === "open");
 * ```
 */
export class EmbeddedRecord<T = unknown> {
  readonly name: string;
  readonly #caller: LocalCaller;
  readonly #watches = new Set<Watch<T>>();

  constructor(name: string, caller: LocalCaller) {
    this.name = name;
    this.#caller = caller;
  }

  /**
   * Sets the value. It is visible, here and to remote clients, when the promise resolves; sets take effect in the
   * order in which they are called.
   *
   * @param value Any JSON value that matches the record's schema; at most 1 MiB less 1 KiB as JSON.
   * @param options `ifSequence` sets only if the present value has that sequence, 0 for none yet.
   * @returns Its sequence, and its time as `"secs.nanosecs"`.
   * @throws {PosternError} `invalid_params` with the path that does not match, `conflict` by `ifSequence`, `too_large`,
   * `not_found` when it was removed, `storage_full`, `too_many` when too much waits, `shutting_down` after the close.
   */
  async set(value: T, options: { readonly ifSequence?: number } = {}): Promise<SetReceipt> {
    const { ifSequence } = options;
    const params = {
      name: this.name,
      value: jsonValue("record.set", value),
      ...(ifSequence === undefined ? {} : { if_sequence: ifSequence }),
    };
    return await this.#caller.call("record.set", params) as SetReceipt;
  }

  /**
   * Reads the value.
   *
   * @returns What it holds, with its sequence and time.
   * @throws {PosternError} `no_value` before the first set, and when a watcher has taken it from a mailbox;
   * `not_found` when it was removed, `shutting_down` after the close.
   */
  async get(): Promise<RecordValue<T>> {
    return plain(await this.#caller.call("record.get", { name: this.name }));
  }

  /**
   * Reads the last values of an `spmc_ring`, oldest first.
   *
   * @param limit At most so many, the newest; 1 to 10,000. Together they take at most 1 MiB.
   * @returns The values.
   * @throws {PosternError} `no_value` for another buffer type, `invalid_params`, and as {@linkcode get}.
   */
  async history(limit = 100): Promise<RecordValue<T>[]> {
    const told = await this.#caller.call("record.history", { name: this.name, limit });
    return plain<{ values: RecordValue<T>[] }>(told).values;
  }

  /**
   * Watches the record: who sets it, here or remotely, is seen by every watch; a mailbox's value goes to one of them.
   *
   * @param options `queueSize`, the daemon's if left out: so many updates wait for a slow reader, then the oldest is
   * dropped and the next says `dropped`. `sendInitial`, true if left out, begins with what the record holds.
   * `signal` ends the watch.
   * @returns The updates, an async iterable, which ends when it or the record's holder is closed.
   * @throws {PosternError} `not_found` when the record was removed, `invalid_params`, `too_many`, `shutting_down`.
   */
  watch(options: EmbeddedWatchOptions = {}): Watch<T> {
    const watch: Watch<T> = new EmbeddedWatch<T>({
      ...options,
      name: this.name,
      caller: this.#caller,
      onClose: () => this.#watches.delete(watch),
    });
    this.#watches.add(watch);
    return watch;
  }

  /** Ends its watches; calls are refused from then on. For whoever holds it. */
  end(): void {
    for (const watch of [...this.#watches]) watch.close();
    this.#caller.end();
  }
}

/** A result as a client would read it: parts of it are JSON text. */
function plain<R>(result: unknown): R {
  return JSON.parse(encodeJson(result));
}
