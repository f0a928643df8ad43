/**
 * A client for each way to talk to a daemon, so that what must hold for all of them is said once.
 *
 * Each shows its token, asks for operations by their names, and tells what came of it in our own codes.
 */

import { HttpClient, type SocketClient } from "./http_client.ts";
import { type Line, RawClient } from "./raw_client.ts";

/** Where a daemon listens. */
export interface Sockets {
  readonly socketPath: string;
  readonly httpSocketPath: string;
}

/** What an operation came to. */
export interface Told {
  /** `ok`, or the code of the error as this way of talking has it. */
  readonly code: string;
  /** The whole answer. */
  readonly reply: Line;
  /** When to try again, wherever the answer says so. */
  readonly retryAfterMs?: number;
}

/** One client. */
export interface Talker extends Disposable {
  ask(operation: string, params?: Line): Promise<Told>;
  /** Resolves when the daemon has ended the connection; at once where there is none. */
  ended(): Promise<unknown>;
}

/** Connects and shows a token; `null` shows none. */
export type Open = (sockets: Sockets, token: string | null) => Promise<Talker>;

abstract class LineTalker implements Talker {
  readonly client: RawClient;
  #lastId = 0;

  constructor(client: RawClient) {
    this.client = client;
  }

  async ask(operation: string, params: Line = {}): Promise<Told> {
    const id = ++this.#lastId;
    await this.client.send(this.request(id, operation, params));
    for (;;) {
      const reply = await this.client.next();
      if (this.idOf(reply) === id) return this.told(reply);
    }
  }

  ended(): Promise<unknown> {
    return this.client.untilClosed();
  }

  [Symbol.dispose](): void {
    this.client.close();
  }

  abstract request(id: number, operation: string, params: Line): Line;
  abstract idOf(reply: Line): unknown;
  abstract told(reply: Line): Told;
}

class Axon extends LineTalker {
  request = (id: number, cmd: string, params: Line) => ({ ...params, cmd, req_id: String(id) });
  idOf = (reply: Line) => Number(reply.req_id ?? NaN);
  told = (reply: Line) => ({
    code: reply.ok ? "ok" : reply.error,
    reply,
    retryAfterMs: reply.retry_after_ms,
  });
}

class JsonRpc extends LineTalker {
  request(id: number, method: string, params: Line): Line {
    return { jsonrpc: "2.0", id, method, params };
  }

  idOf = ({ id }: Line) => id;
  told = toldByRpc;
}

class AiAssist extends JsonRpc {
  override request = (id: number, method: string, params: Line) => ({ id, method, params });
}

class Aimx extends LineTalker {
  request = (id: number, method: string, params: Line) => ({ id, method, params });
  idOf = ({ id }: Line) => id;
  told = (reply: Line) => ({
    code: reply.error?.details.code ?? "ok",
    reply,
    retryAfterMs: reply.error?.retry_after_ms,
  });
}

class Http implements Talker {
  readonly client: HttpClient;

  constructor(client: HttpClient) {
    this.client = client;
  }

  async ask(operation: string, params: Line = {}): Promise<Told> {
    const { status, headers, body } = await this.client.rpc(operation, params);
    const told = toldByRpc(body ?? {});
    const retryAfter = headers.get("retry-after");
    // What is refused before anybody looks at the body is no reply to its request.
    const code = status === 200 || body.jsonrpc !== undefined ? told.code : body.error.code;
    return { ...told, code, reply: { status, retryAfter, body } };
  }

  ended(): Promise<unknown> {
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
  }
}

class WebSocketTalker implements Talker {
  readonly #client: HttpClient;
  readonly #socket: SocketClient;
  #lastId = 0;

  constructor(client: HttpClient, socket: SocketClient) {
    this.#client = client;
    this.#socket = socket;
  }

  async ask(operation: string, params: Line = {}): Promise<Told> {
    const id = ++this.#lastId;
    await this.#socket.send({ jsonrpc: "2.0", id, method: operation, params });
    for (;;) {
      const reply = await this.#socket.next();
      if (reply.id === id) return toldByRpc(reply);
    }
  }

  ended(): Promise<unknown> {
    return this.#socket.closed;
  }

  [Symbol.dispose](): void {
    this.#client[Symbol.dispose]();
  }
}

function toldByRpc(reply: Line): Told {
  const { data } = reply.error ?? {};
  return { code: data?.code ?? "ok", reply, retryAfterMs: data?.retry_after_ms };
}

/** Every way there is. */
export const TALKERS: Readonly<Record<string, Open>> = {
  async "AXON"({ socketPath }, token) {
    const client = await RawClient.connect(socketPath);
    await client.hello();
    if (token !== null) await client.ask({ cmd: "auth", token });
    return new Axon(client);
  },
  async "JSON-RPC"({ socketPath }, token) {
    const talker = new JsonRpc(await RawClient.connect(socketPath));
    if (token !== null) await talker.ask("auth.login", { token });
    return talker;
  },
  async "AI Assist"({ socketPath }, token) {
    const talker = new AiAssist(await RawClient.connect(socketPath));
    if (token !== null) await talker.ask("auth.login", { token });
    return talker;
  },
  async "AimX"({ socketPath }, token) {
    const client = await RawClient.connect(socketPath);
    const shown = token === null ? {} : { auth_token: token };
    await client.send({ hello: { version: "1.0", client: "test", ...shown } });
    await client.next();
    return new Aimx(client);
  },
  "HTTP"({ httpSocketPath }, token) {
    return Promise.resolve(new Http(new HttpClient(httpSocketPath, token)));
  },
  async "WebSocket"({ httpSocketPath }, token) {
    const client = new HttpClient(httpSocketPath, token);
    return new WebSocketTalker(client, await client.socket());
  },
};
