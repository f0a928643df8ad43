/**
 * JSON-RPC over the HTTP socket for the scenarios: by requests to /rpc, and on a WebSocket.
 *
 * Both look like a connection that takes values and gives lines. By requests nothing is pushed, and what was said by
 * auth.login and system.hello goes with each request from then on, in its headers.
 */

import type { HttpClient } from "../support/http_client.ts";
import type { TestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";

/** What a speaker needs of its connection. */
export interface Lines {
  send(...values: unknown[]): Promise<void>;
  next(): Promise<Line>;
  /** The next line as it was written. */
  text(): Promise<string>;
}

/** Requests to /rpc; many at once are one batch. */
class Requests implements Lines {
  readonly #http: HttpClient;
  readonly #replies: Line[] = [];
  #headers: Record<string, string> = {};

  constructor(http: HttpClient) {
    this.#http = http;
  }

  async send(...values: Line[]): Promise<void> {
    const asked = { headers: this.#headers };
    const { body } = await this.#http.post(values.length === 1 ? values[0] : values, asked);
    const replies: Line[] = values.length === 1 ? [body] : body;
    this.#replies.push(...replies);
    for (const [i, { method, params }] of values.entries()) {
      const isLogin = method === "auth.login" && replies[i]!.error === undefined;
      if (isLogin) this.#http.token = params.token;
      if (method === "system.hello" && replies[i]!.error === undefined) {
        const { client_id = params.client_id } = replies[i]!.result;
        this.#headers = { "x-client-kind": params.client_kind, "x-client-id": client_id };
      }
    }
  }

  next(): Promise<Line> {
    const reply = this.#replies.shift();
    if (reply === undefined) throw new Error("an HTTP request was answered with nothing more");
    return Promise.resolve(reply);
  }

  text(): Promise<string> {
    throw new Error("an HTTP request is answered with what was asked for");
  }
}

/** Opens what a scenario speaks on. */
export const HTTP_CONNECTIONS = {
  HTTP: (daemon: TestDaemon): Promise<Lines> => Promise.resolve(new Requests(daemon.http(null))),
  WebSocket: (daemon: TestDaemon): Promise<Lines> => daemon.http(null).socket(),
};
