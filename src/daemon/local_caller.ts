/**
 * A caller in the daemon's own process: the program that runs the daemon. No socket and no codec, the same registry.
 *
 * Invariants: what it asks for is authorised, validated and carried out as anybody's, with the owner's rights; calls
 * begin in the order in which they are made; after `end`, or once the daemon stops, they are refused.
 *
 * Bounds: `MAX_IN_FLIGHT` calls without an answer, `MAX_WATCHES` watches, and `MAX_BACKLOG_CHARS` waiting for the disk,
 * beyond which it is refused and not made to wait, so that the order holds.
 */

import { Departure } from "../core/departure.ts";
import { PosternError } from "../core/errors.ts";
import { type Principal, TRUSTED } from "../core/principal.ts";
import { Producer } from "../core/producer.ts";
import type { RecordWatcher } from "../core/record.ts";
import type { RecordWatch } from "../core/record_watches.ts";
import { Ticket } from "../core/ticket.ts";
import type { Caller, Handled, RecordWatchRequest, Services } from "../operations/operation.ts";
import { invoke } from "../operations/registry.ts";

const MAX_IN_FLIGHT = 4096;
const MAX_WATCHES = 1000;
/** As for connections. */
const MAX_BACKLOG_CHARS = 32 * 1024 * 1024;

/** A watch that was accepted, and begins when it is told to. */
export interface LocalWatch {
  readonly id: string;
  /** Updates that may wait for whoever reads. */
  readonly queueSize: number;
  /** Tells from now on, at first what the record holds, if that was asked for. */
  begin(watcher: RecordWatcher): RecordWatch;
}

/** One caller within the process. */
export class LocalCaller implements Caller {
  readonly isRemote = false;
  readonly transport = "in-process";
  readonly client = null;
  claim = null;
  readonly onBehalfOf = null;
  readonly principal: Principal = TRUSTED;
  readonly consumer = "default";
  readonly producer: Producer = new Producer();
  readonly departure: Departure = new Departure();
  readonly runner = null;
  readonly provider = null;
  readonly #services: Services;
  readonly #isStopping: () => boolean;
  /** Asked for, or running. */
  readonly #watches = new Map<string, RecordWatchRequest | RecordWatch>();
  #opened = 0;
  #inFlight = 0;
  #ended = false;

  /** Use `Daemon.caller`. */
  constructor(services: Services, isStopping: () => boolean) {
    this.#services = services;
    this.#isStopping = isStopping;
  }

  /**
   * Invokes an operation.
   *
   * @param operation Its name, such as `record.set`.
   * @param params Its parameters, as from JSON.
   * @returns Its result; what is JSON text already is a `JsonText`.
   * @throws PosternError through the promise: what `invoke` throws, `shutting_down`, `too_many`.
   */
  call(operation: string, params: unknown): Promise<unknown> {
    return Promise.try(() => {
      this.#requireRoom(operation);
      const handled = this.#invoke(operation, params);
      const end = () => void this.#inFlight--;
      if (handled instanceof Ticket) {
        this.#inFlight++;
        handled.whenSettled(end);
        return handled.promise();
      }
      if (!(handled instanceof Promise)) return handled;
      this.#inFlight++;
      return handled.finally(end);
    });
  }

  /**
   * Asks to watch a record, by `record.subscribe`.
   *
   * @param params Its parameters.
   * @returns The watch, which has not begun.
   * @throws PosternError `not_found`, `invalid_params`, `shutting_down`, `too_many`.
   */
  watch(params: unknown): LocalWatch {
    const { subscription_id: id, queue_size: queueSize } = this.#invoke(
      "record.subscribe",
      params,
    ) as { subscription_id: string; queue_size: number };
    const { pattern, sendInitial, mayTake } = this.#watches.get(id) as RecordWatchRequest;
    const begin = (watcher: RecordWatcher) => {
      const watch = this.#services.records.watch(pattern, watcher, sendInitial, mayTake);
      this.#watches.set(id, watch);
      return watch;
    };
    return { id, queueSize, begin };
  }

  /** Counts as a producer of the record from now on, though it has not set it. */
  produces(name: string): void {
    this.producer.uses(this.#services.records.get("record", name));
  }

  /** Ends its watches; it produces nothing any more. Idempotent. */
  end(): void {
    this.#ended = true;
    for (const id of [...this.#watches.keys()]) this.unsubscribe(id);
    this.producer.end();
    if (!this.#isStopping()) this.departure.end();
  }

  /** It has said who it is by being here. */
  greet(): void {}

  identify(): void {}

  login(): void {}

  loginFailed(): Promise<void> {
    return Promise.resolve();
  }

  subscribe(): string {
    throw new PosternError(
      "invalid_request",
      "event.subscribe: a caller within the process has nothing to stream events on; connect to the socket",
    );
  }

  watchRecords(request: RecordWatchRequest): string {
    if (this.#watches.size >= MAX_WATCHES) {
      throw tooMany("record.subscribe", `${MAX_WATCHES} watches of a record are open`, MAX_WATCHES);
    }
    const id = `local-${++this.#opened}`;
    this.#watches.set(id, request);
    this.#services.metrics.subscriptions++;
    return id;
  }

  unsubscribe(subscriptionId: string): boolean {
    const watch = this.#watches.get(subscriptionId);
    if (watch === undefined) return false;
    if ("end" in watch) watch.end();
    this.#services.metrics.subscriptions--;
    return this.#watches.delete(subscriptionId);
  }

  #invoke(operation: string, params: unknown): Handled<unknown> {
    if (this.#ended || this.#isStopping()) {
      throw new PosternError("shutting_down", `${operation}: the daemon in this program is closed`);
    }
    const call = { operation, params, opened: false };
    return invoke(call, { services: this.#services, caller: this });
  }

  #requireRoom(operation: string): void {
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      throw tooMany(operation, `${MAX_IN_FLIGHT} calls wait for their answers`, MAX_IN_FLIGHT);
    }
    if (this.#services.log.backlogChars > MAX_BACKLOG_CHARS) {
      throw tooMany(
        operation,
        `${MAX_BACKLOG_CHARS} characters wait for the disk`,
        MAX_BACKLOG_CHARS,
      );
    }
  }
}

function tooMany(operation: string, what: string, limit: number): PosternError {
  return new PosternError("too_many", `${operation}: ${what}; await some of them first`, { limit });
}
