/** Calling any operation by its name, and what is known of the connection that it goes over. */

import { encodeParams } from "./axon.ts";
import type { Closed } from "./connection.ts";
import type { Target } from "./discovery.ts";
import { Exchange, type RequestOptions } from "./exchange.ts";
import type { Link } from "./link.ts";
import type { Welcome } from "./messages.ts";
import type { CallArguments, OperationName, OperationResult, OtherName } from "./operations.ts";
import type { ReconnectPolicy } from "./reconnect.ts";
import { cancelIfGivenUp, withCallId } from "./service_calls.ts";
import { isRepeatable } from "./repeatable.ts";
import type { StreamOpener } from "./stream.ts";

/** What a client is made of. */
export interface ClientParts {
  readonly link: Link;
  /** Where the daemon was found last. */
  readonly target: () => Target;
  readonly openStream: StreamOpener;
  readonly policy: ReconnectPolicy | null;
  /** For requests that name no time-out of their own. */
  readonly requestTimeoutMs?: number;
}

/** What every client can, whatever else it does. */
export class Caller {
  protected readonly parts: ClientParts;

  constructor(parts: ClientParts) {
    this.parts = parts;
  }

  /** Where the daemon was found. After a reconnect it may be another place. */
  get target(): Target {
    return this.parts.target();
  }

  /** How the daemon introduced itself, on the latest connection. */
  get welcome(): Welcome {
    return this.parts.link.welcome;
  }

  /**
   * This client's public name, by which permissions, turns, leases and calls know it; `null` without a `clientKind`.
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using first = await connect({ dir: daemon.directory, clientKind: "editor" });
   * await using second = await connect({ dir: daemon.directory, clientKind: "editor" });
   * assert(first.originator !== null && first.originator === second.originator);
   * ```
   */
  get originator(): string | null {
    return this.welcome.originator;
  }

  /**
   * Resolves when this client has ended, with the reason. Never rejects. A client that reconnects ends when it is
   * closed, or gives up.
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * const client = await connect({ dir: daemon.directory, reconnect: false });
   * await daemon.stop();
   * const { by, reason } = await client.closed;
   * assert(by === "daemon" && reason !== "");
   * ```
   */
  get closed(): Promise<Closed> {
    return this.parts.link.closed;
  }

  /**
   * Calls any operation by its name; parameters and result have the types of the daemon's own registry.
   *
   * @param operation The name, such as `event.read`.
   * @param args Its parameters: an object, or the JSON text of one, which goes out as written; when to give up.
   * @returns The operation's result.
   * @throws {PosternError} with the code of the daemon's refusal; `timeout`, `too_large`, `too_many`
   * @throws {ConnectionError} `ECONNRESET` when the connection ended before the reply came
   *
   * @example
   * ```ts
   * import { connect, startTemporaryDaemon } from "@postern/postern/client";
   * import { assert } from "@std/assert";
   *
   * await using daemon = await startTemporaryDaemon();
   * await using client = await connect({ dir: daemon.directory });
   * const { consumers } = await client.call("consumer.list");
   * console.log(consumers.map(({ name, lag }) => `${name} ${lag}`));
   * const page = await client.call("event.read", { after: 0 }, { timeoutMs: 5000 });
   * assert(page.events.length === 0);
   * ```
   */
  call<N extends OperationName>(
    operation: N,
    ...args: CallArguments<N>
  ): Promise<OperationResult<N>>;
  call<T = Record<string, unknown>, N extends string = string>(
    operation: OtherName<N>,
    params?: object | string,
    options?: RequestOptions,
  ): Promise<T>;
  async call(
    operation: string,
    params: object | string = {},
    options: RequestOptions = {},
  ): Promise<unknown> {
    const { link, policy, requestTimeoutMs } = this.parts;
    const { signal, timeoutMs = requestTimeoutMs } = options;
    const isServiceCall = operation === "service.call";
    const given = isServiceCall ? withCallId(params) : params;
    const exchange = new Exchange(operation, encodeParams(operation, given), {
      signal,
      timeoutMs,
    });
    if (isServiceCall) cancelIfGivenUp(exchange, given, link);
    exchange.repeatable = policy !== null && isRepeatable(operation, params);
    link.carry(exchange);
    return await exchange.outcome;
  }
}
