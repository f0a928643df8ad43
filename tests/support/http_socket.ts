/** Requests to a daemon's HTTP socket, each with the owner's token unless it says otherwise. */

import { join } from "@std/path/posix";
import type { Line } from "./raw_client.ts";

/** The HTTP socket of the daemon in a directory. */
export class HttpSocket implements Disposable {
  readonly path: string;
  readonly #token: string;
  readonly #client: Deno.HttpClient;

  constructor(directory: string, socketDirectory: string = directory) {
    this.path = join(socketDirectory, "http.sock");
    this.#token = Deno.readTextFileSync(join(directory, "ipc-token")).trim();
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path: this.path } });
  }

  /** One request. `token` stands in for the owner's; `null` shows none. */
  fetch(path: string, init: RequestInit & { token?: string | null } = {}): Promise<Response> {
    const { token = this.#token, ...request } = init;
    const headers = new Headers(request.headers);
    if (token !== null) headers.set("authorization", `Bearer ${token}`);
    const all = { ...request, headers, client: this.#client };
    return fetch(`http://localhost${path}`, all);
  }

  /** The body of an answer as JSON, with its status. */
  async json(
    path: string,
    init: RequestInit & { token?: string | null } = {},
  ): Promise<{ status: number; body: Line }> {
    const response = await this.fetch(path, init);
    return { status: response.status, body: await response.json() };
  }

  /** One JSON-RPC request. */
  rpc(method: string, params: unknown = {}): Promise<{ status: number; body: Line }> {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    return this.json("/rpc", { method: "POST", body });
  }

  /** The text of an answer that must be good. */
  async text(path: string): Promise<string> {
    const response = await this.fetch(path);
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return text;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
