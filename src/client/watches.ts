/**
 * The watches of one client, on the connection that its requests go over.
 *
 * What always holds: an update reaches the watch whose subscription it names, or nobody; after the loss of the
 * connection every open watch subscribes on the next one; a watch that is closed is unsubscribed there, even if the
 * daemon accepts it only afterwards.
 */

import { encodeParams, type RecordLine } from "./axon.ts";
import { ConnectionError } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import type { Link, LinkListener } from "./link.ts";
import { attemptUntil, isRefusal, type ReconnectPolicy } from "./reconnect.ts";
import type { WatchOptions, WatchStart } from "./records.ts";
import type { WatchOpener, WatchSink } from "./watch.ts";

interface Watched {
  readonly sink: WatchSink;
  /** Of the request to subscribe, as text. */
  readonly params: string;
  /** The request that is under way. */
  exchange: Exchange | null;
  /** On the present connection. */
  subscriptionId: string | null;
  hasBegun: boolean;
}

/** Watches over one connection after the other. */
export class Watches implements LinkListener {
  readonly #link: Link;
  readonly #policy: ReconnectPolicy | null;
  readonly #open = new Set<Watched>();
  readonly #bySubscription = new Map<string, Watched>();

  constructor(link: Link, policy: ReconnectPolicy | null) {
    this.#link = link;
    this.#policy = policy;
    link.listener = this;
  }

  /** What fills a watch of this pattern. */
  opener(pattern: string, { queueSize, sendInitial }: WatchOptions): WatchOpener {
    const wanted = { name: pattern, queue_size: queueSize, send_initial: sendInitial };
    const params = encodeParams("record.subscribe", wanted);
    return (sink) => {
      const watched = { sink, params, exchange: null, subscriptionId: null, hasBegun: false };
      this.#open.add(watched);
      this.#begin(watched);
      return () => this.#close(watched);
    };
  }

  updated(line: RecordLine, chars: number): void {
    this.#bySubscription.get(line.subscription_id)?.sink.update(line, chars);
  }

  lost(): void {
    this.#bySubscription.clear();
    for (const watched of this.#open) {
      // A request that is under way goes to the next connection by itself.
      if (watched.subscriptionId === null) continue;
      watched.subscriptionId = null;
      this.#begin(watched);
    }
  }

  ended(error: Error): void {
    for (const { sink } of [...this.#open]) sink.fail(error);
  }

  async #begin(watched: Watched): Promise<void> {
    const { sink } = watched;
    try {
      await this.#subscribe(watched);
    } catch (error) {
      const policy = this.#policy;
      if (policy === null || !watched.hasBegun || isRefusal(error)) {
        return sink.fail(error as Error);
      }
      const again = () => this.#subscribe(watched);
      await attemptUntil(again, { policy, signal: sink.ended }).catch(sink.fail);
    }
  }

  #subscribe(watched: Watched): Promise<unknown> {
    const exchange = new Exchange("record.subscribe", watched.params);
    exchange.repeatable = this.#policy !== null;
    // At once: its updates may have come in the same read as the reply.
    exchange.onResult = (result) => this.#accepted(watched, result as WatchStart);
    watched.exchange = exchange;
    this.#link.carry(exchange);
    return exchange.outcome;
  }

  #accepted(watched: Watched, start: WatchStart): void {
    watched.exchange = null;
    if (!this.#open.has(watched)) return this.#unsubscribe(start.subscription_id);
    watched.subscriptionId = start.subscription_id;
    watched.hasBegun = true;
    this.#bySubscription.set(start.subscription_id, watched);
    watched.sink.begin(start);
  }

  #close(watched: Watched): void {
    if (!this.#open.delete(watched)) return;
    const { exchange, subscriptionId } = watched;
    if (exchange !== null && !exchange.sent) {
      exchange.reject(new ConnectionError("ECONNRESET", "the watch was closed"));
    }
    if (subscriptionId === null) return;
    this.#bySubscription.delete(subscriptionId);
    this.#unsubscribe(subscriptionId);
  }

  #unsubscribe(subscriptionId: string): void {
    const params = encodeParams("record.unsubscribe", { subscription_id: subscriptionId });
    const exchange = new Exchange("record.unsubscribe", params);
    // On another connection the id would be another watch's.
    exchange.staysBehind = true;
    this.#link.carry(exchange);
    exchange.outcome.catch(() => {});
  }
}
