/**
 * What may be asked for along with a read: which events, how many, from where, and for how long.
 *
 * Each field but those of {@linkcode RequestOptions} has the name that it has on the wire.
 */

import type { RequestOptions } from "./exchange.ts";
import type { EventFilter } from "./messages.ts";

/**
 * What may be asked of a subscription. `timeoutMs` is for its beginning, `signal` ends it at any time.
 *
 * @example
 * ```ts
 * import { connect, type SubscribeOptions, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const options: SubscribeOptions = { topics: ["build.>"], since: 0, consumer: null };
 * await client.send({ kind: "notify", topic: "build.done", payload: "kept" });
 * await using stream = client.subscribe(options);
 * assert((await stream.next()).value?.replay === true);
 * ```
 */
export interface SubscribeOptions extends EventFilter, RequestOptions {
  /** `null` reads without a consumer: what was delivered is noted nowhere. @default this client's */
  readonly consumer?: string | null;
  /** First bring what the consumer has not acknowledged. @default {true} */
  readonly replay?: boolean;
  /** First bring what comes after this seq, whatever the consumer has acknowledged. */
  readonly since?: number;
}

/**
 * What may be asked of the inbox, or of the log.
 *
 * @example
 * ```ts
 * import { connect, type InboxOptions, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const options: InboxOptions = { limit: 1 };
 * await client.sendAll([{ kind: "notify", payload: 1 }, { kind: "notify", payload: 2 }]);
 * const { messages, has_more } = await client.inbox(options);
 * assert(messages.length === 1 && has_more);
 * ```
 */
export interface InboxOptions extends EventFilter, RequestOptions {
  /** At most so many messages, 1 to 1000. @default {50} */
  readonly limit?: number;
}
