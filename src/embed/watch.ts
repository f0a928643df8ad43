/**
 * The client's stream of record updates, filled in the process itself.
 *
 * It takes what a mailbox holds only while somebody waits for it: that value goes to no other watcher.
 */

import { Watch, type WatchSink } from "../client/watch.ts";
import type { RecordUpdate as Update } from "../core/record.ts";
import type { LocalCaller } from "../daemon/local_caller.ts";
import type { RecordUpdate, WatchOptions } from "../client/records.ts";

/**
 * What may be asked of a watch; it begins at once, so there is no time-out.
 *
 * @example
 * ```ts
 * import { type EmbeddedWatchOptions, postern } from "@postern/postern/embed";
 * import { assert } from "@std/assert";
 *
 * const options: EmbeddedWatchOptions = { queueSize: 1, sendInitial: false };
 * await using db = await postern().record("n").build();
 * await using watch = db.record("n").watch(options);
 * for (const n of [1, 2, 3]) await db.record("n").set(n);
 * const { value } = await watch.next();
 * assert(value?.value === 3 && value.dropped === 2);
 * ```
 */
export type EmbeddedWatchOptions = Omit<WatchOptions, "timeoutMs">;

/** How a watch begins. */
interface WatchStart extends EmbeddedWatchOptions {
  readonly caller: LocalCaller;
  /** The record's name. */
  readonly name: string;
  readonly onClose: () => void;
}

/** A watch of one record by the program that holds it. */
export class EmbeddedWatch<T> extends Watch<T> {
  #isWanted = false;
  readonly #ready: () => void;

  /** @throws PosternError as `LocalCaller.watch` */
  constructor({ caller, name, queueSize, sendInitial, signal, onClose }: WatchStart) {
    const { id, queueSize: most, begin } = caller.watch({
      name,
      ...(queueSize === undefined ? {} : { queue_size: queueSize }),
      ...(sendInitial === undefined ? {} : { send_initial: sendInitial }),
    });
    // The base class asks for its source before there is a field of this one.
    let sink!: WatchSink;
    super((given) => {
      sink = given;
      return () => caller.unsubscribe(id);
    }, { signal, onClose });
    sink.begin({ subscription_id: id, queue_size: most });
    const isWanted = () => this.#isWanted;
    const watch = begin({
      get isReady() {
        return isWanted();
      },
      tell: (update) => this.#tell(update, sink),
    });
    this.#ready = () => watch.ready();
  }

  protected override take(): RecordUpdate<T> | undefined {
    const held = super.take();
    this.#isWanted = held === undefined;
    if (held !== undefined) return held;
    this.#ready();
    return super.take();
  }

  #tell({ name, sequence, timestamp, value }: Update, sink: WatchSink): void {
    this.#isWanted = false;
    const data = JSON.parse(value);
    sink.update({ subscription_id: "", name, sequence, data, timestamp }, value.length);
  }
}
