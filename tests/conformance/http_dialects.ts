/**
 * JSON-RPC over the HTTP socket for the scenarios: by requests to /rpc, and on a WebSocket.
 *
 * Both look like a connection that takes values and gives lines. By requests nothing is pushed, and a token that was
 * shown by auth.login goes with each request from then on.
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

  constructor(http: HttpClient) {
    this.#http = http;
  }

  async send(...values: Line[]): Promise<void> {
    const { body } = await this.#http.post(values.length === 1 ? values[0] : values);
    const replies: Line[] = values.length === 1 ? [body] : body;
    this.#replies.push(...replies);
    for (const [i, { method, params }] of values.entries()) {
      const isLogin = method === "auth.login" && replies[i]!.error === undefined;
      if (isLogin) this.#http.token = params.token;
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
