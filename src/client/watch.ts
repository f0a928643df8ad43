/**
 * A stream of the values of records, as new as its reader can take them.
 *
 * It never holds up its connection: what its reader does not take waits here, at most as many updates as the daemon
 * lets wait and MAX_CHARS characters, the newest always; for more, the oldest are dropped. `dropped` in the next
 * update is the sum of what the daemon and this side dropped before it.
 *
 * After a reconnect the daemon tells the initial values again. The one that was told last is recognised and passed
 * over; see `#isRepeated`.
 */

import type { RecordLine } from "./axon.ts";
import { AsyncStream, type AsyncStreamOptions } from "./async_stream.ts";
import { HeldQueue } from "./held_queue.ts";
import type { RecordUpdate, WatchStart } from "./records.ts";

/** Where the updates of a watch go. */
export interface WatchSink {
  /** Aborted when the watch has ended. */
  readonly ended: AbortSignal;
  /** The daemon has accepted it, for the first time or again. */
  begin(start: WatchStart): void;
  /** An update, and the length of its line. */
  update(line: RecordLine, chars: number): void;
  fail(error: Error): void;
}

/** Begins to fill a watch; the function that it returns ends that. */
export type WatchOpener = (sink: WatchSink) => () => void;

/** As the daemon's own bound for one reader. */
const MAX_CHARS = 1024 * 1024;
/** Records whose last update is remembered: as many as a daemon keeps. Beyond, a repeated update comes twice. */
const MAX_SEEN = 10_000;

interface Held<T> {
  readonly update: RecordUpdate<T>;
  dropped: number;
}

/** The update of a record that came last. */
interface Seen {
  readonly sequence: number;
  readonly timestamp: string;
  /** How often the watch had begun by then. */
  readonly beginnings: number;
}

/**
 * An async iterable of record updates. It ends when it is closed, and throws when its connection is lost for good, or
 * the daemon refuses to go on with it.
 *
 * @example
 * ```ts
 * import { connect, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * await client.call("record.define", { name: "sensor.temp" });
 * await using watch = client.watch<number>("sensor.*");
 * await watch.started;
 * await client.set("sensor.temp", 21.5);
 * const { value } = await watch.next();
 * assert(value?.name === "sensor.temp" && value.value === 21.5);
 * ```
 */
export class Watch<T = unknown> extends AsyncStream<RecordUpdate<T>> {
  /** Resolves once the daemon has accepted the watch; from then on the newest value of each record comes. */
  readonly started: Promise<WatchStart>;
  readonly #accepted = Promise.withResolvers<WatchStart>();
  readonly #held = new HeldQueue<Held<T>>();
  readonly #seen = new Map<string, Seen>();
  readonly #disconnect: () => void;
  #queueSize = 1;
  #beginnings = 0;
  /** Told by the daemon, and not passed on yet. */
  #dropped = 0;

  constructor(open: WatchOpener, options: AsyncStreamOptions = {}) {
    super("watching", options);
    this.started = this.#accepted.promise;
    // Who iterates learns of a failure there.
    this.started.catch(() => {});
    this.#disconnect = open({
      ended: this.ended,
      begin: (start) => this.#begin(start),
      update: (line, chars) => this.#update(line, chars),
      fail: (error) => this.fail(error),
    });
  }

  protected override take(): RecordUpdate<T> | undefined {
    const held = this.#held.shift();
    if (held === undefined || held.dropped === 0) return held?.update;
    return { ...held.update, dropped: held.dropped };
  }

  protected override discard(): void {
    this.#held.clear();
  }

  protected override disconnect(reason: Error): void {
    this.#disconnect();
    this.#seen.clear();
    this.#accepted.reject(reason);
  }

  #begin(start: WatchStart): void {
    this.#beginnings++;
    this.#queueSize = start.queue_size;
    this.hasBegun();
    this.#accepted.resolve(start);
  }

  #update(line: RecordLine, chars: number): void {
    if (this.ended.aborted) return;
    this.#dropped += line.dropped ?? 0;
    if (this.#isRepeated(line)) return;
    const { name, sequence, data, timestamp } = line;
    const update = { name, sequence, value: data as T, timestamp };
    this.#held.push({ update, dropped: this.#dropped }, chars);
    this.#dropped = 0;
    this.#dropExcess();
    this.wake();
  }

  /**
   * Whether it is what came last of this record, told once more because the watch has begun again.
   *
   * Nothing else may be passed over. A sequence at or below the last one is otherwise a new life of the name: the
   * record was removed and defined anew, or the daemon has another store, and its sequences begin at 1. That the same
   * sequence was set at the same moment tells a repetition from a new life that has come as far.
   */
  #isRepeated({ name, sequence, timestamp }: RecordLine): boolean {
    const beginnings = this.#beginnings;
    const seen = this.#seen.get(name);
    this.#seen.delete(name);
    this.#seen.set(name, { sequence, timestamp, beginnings });
    if (this.#seen.size > MAX_SEEN) this.#seen.delete(this.#seen.keys().next().value!);
    return seen !== undefined && seen.beginnings < beginnings &&
      seen.sequence === sequence && seen.timestamp === timestamp;
  }

  #dropExcess(): void {
    const held = this.#held;
    while (held.size > this.#queueSize || (held.size > 1 && held.chars > MAX_CHARS)) {
      const oldest = held.shift()!;
      held.first!.dropped += oldest.dropped + 1;
    }
  }
}
