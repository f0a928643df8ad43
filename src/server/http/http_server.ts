/**
 * The daemon's HTTP socket: `Deno.serve` in front of the same operations.
 *
 * Invariants: every request passes the guards and then the table of routes; what a route asks for goes through the
 * registry and nothing else decides about it. Bounds: a body as long as a line of the other socket, `maxSseClients`
 * streams of events, and the connections of both sockets together.
 */

import { JsonRpcCodec } from "../../codecs/json_rpc.ts";
import { PosternError, shown } from "../../core/errors.ts";
import type { Principal } from "../../core/principal.ts";
import { audit } from "../../operations/observe.ts";
import { invoke, requireScope } from "../../operations/registry.ts";
import { Connection } from "../connection.ts";
import type { ServerContext } from "../context.ts";
import type { Served } from "../served.ts";
import { EventStream } from "./event_stream.ts";
import { authenticated, requireLocal, requireVersion, withVersion } from "./guards.ts";
import { HttpCaller } from "./http_caller.ts";
import { prometheusText } from "./prometheus.ts";
import { errorResponse, type Exchange, jsonResponse, type Route } from "./route.ts";
import { answerRpc } from "./rpc.ts";
import { WebSocketWire } from "./web_socket_wire.ts";

export interface HttpSettings {
  readonly heartbeatMs: number;
  readonly maxSseClients: number;
  readonly unauthenticatedMetrics: boolean;
  /** A host name under which requests are taken, beside localhost. */
  readonly name: string;
}

export interface HttpOptions {
  readonly context: ServerContext;
  readonly settings: HttpSettings;
  /** All who are connected. */
  readonly connections: () => Iterable<Served>;
  /** Routes of other parts, such as blobs. */
  readonly routes: readonly Route[];
  /** Takes a connection among all of them. @throws PosternError `too_many` */
  readonly admit: (served: Served) => void;
  readonly leave: (served: Served) => void;
}

/** How long a failed authentication is held back; each further one twice as long, up to the most. */
const LOGIN_DELAY_MS = 100;
const MAX_LOGIN_DELAY_MS = 3200;
/** How often the audit notes that a token was shown, however many requests show it. */
const LOGIN_NOTED_MS = 60_000;
/** Tokens of which that is remembered. */
const LOGINS_KEPT = 1001;
/** After so long without a further failure they are forgotten. */
const FORGET_FAILURES_MS = 10_000;

/** The HTTP server of one daemon. */
export class HttpServer {
  readonly #options: HttpOptions;
  readonly #routes: readonly { readonly route: Route; readonly pattern: URLPattern }[];
  readonly #wires = new Set<WebSocketWire>();
  /** When each token was last noted in the audit. */
  readonly #loginsMs = new Map<string, number>();
  #sseClients = 0;
  #failures = 0;
  #lastFailureMs = 0;
  #server: Deno.HttpServer | null = null;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#routes = [...this.#ownRoutes(), ...options.routes].map((route) => ({
      route,
      pattern: new URLPattern({ pathname: route.path }),
    }));
  }

  /** Serves HTTP on a Unix socket. Resolves when it listens. */
  listen(path: string): Promise<void> {
    return new Promise((resolve) => {
      this.#server = Deno.serve({
        path,
        onListen: () => resolve(),
        onError: (error) => withVersion(errorResponse(this.#asRefusal(error))),
      }, (request) => this.#answer(request));
    });
  }

  /** Takes no more requests. Streams and WebSockets are ended by the server that they belong to. */
  stopAccepting(): Promise<void> {
    for (const wire of this.#wires) wire.goingAway = true;
    return this.#server?.shutdown() ?? Promise.resolve();
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    try {
      requireLocal(request, url, this.#options.settings.name);
      requireVersion(request);
      const found = this.#find(request, url);
      const caller = await this.#callerOf(request);
      const minted = await this.#identify(request, caller);
      const response = await found.route.handle({ request, url, params: found.params, caller });
      caller.producer.end();
      caller.departure.end();
      if (response.status === 101) return response;
      if (minted !== null) response.headers.set("x-client-id", minted);
      return withVersion(response);
    } catch (error) {
      return withVersion(this.#refusal(error));
    }
  }

  #refusal(error: unknown): Response {
    const refusal = this.#asRefusal(error);
    const allow = refusal.details?.allow;
    if (typeof allow !== "string") return errorResponse(refusal);
    const response = errorResponse(refusal, 405);
    response.headers.set("allow", allow);
    return response;
  }

  #find({ method }: Request, url: URL): { route: Route; params: Record<string, string> } {
    const here = this.#routes.flatMap(({ route, pattern }) => {
      const match = pattern.exec({ pathname: url.pathname });
      return match === null ? [] : [{ route, params: paramsOf(match) }];
    });
    const found = here.find(({ route }) =>
      route.method === method || (method === "HEAD" && route.method === "GET")
    );
    if (found !== undefined) return found;
    if (here.length === 0) {
      throw new PosternError("not_found", `there is nothing at ${shown(url.pathname)}`);
    }
    const allow = [...new Set(here.map(({ route }) => route.method))].join(", ");
    throw new PosternError(
      "invalid_request",
      `${shown(url.pathname)} takes ${allow}, got ${shown(method)}`,
      { allow },
    );
  }

  async #callerOf(request: Request): Promise<HttpCaller> {
    const { context } = this.#options;
    const { services } = context;
    const given = authenticated(request, services.tokens);
    const principal = given ?? context.trusted();
    const onBehalfOf = principal === null ? null : userIn(request);
    const loginFailed = () => this.#loginFailed();
    const caller = new HttpCaller({ principal, onBehalfOf, loginFailed });
    if (given === undefined) {
      audit("auth.login", "auth_failed", { services, caller });
      await loginFailed();
      throw new PosternError("auth_failed", "the request's token is not valid");
    }
    if (given !== null) this.#noteLogin(given, caller);
    return caller;
  }

  /** Every request authenticates; the audit has each token once in a while. */
  #noteLogin({ tokenId }: Principal, caller: HttpCaller): void {
    const { services } = this.#options.context;
    const now = services.clock.now();
    const before = this.#loginsMs.get(tokenId);
    if (before !== undefined && now - before < LOGIN_NOTED_MS) return;
    this.#loginsMs.delete(tokenId);
    this.#loginsMs.set(tokenId, now);
    if (this.#loginsMs.size > LOGINS_KEPT) {
      this.#loginsMs.delete(this.#loginsMs.keys().next().value!);
    }
    audit("auth.login", "ok", { services, caller });
  }

  /** Makes the caller the client that its headers say. @returns The id that was minted for it, if one was. */
  async #identify({ headers }: Request, caller: HttpCaller): Promise<string | null> {
    const kind = headers.get("x-client-kind");
    if (kind === null) return null;
    const id = headers.get("x-client-id");
    const params = { client_kind: kind, ...(id === null ? {} : { client_id: id }) };
    const { services } = this.#options.context;
    const call = { operation: "system.hello", params, opened: false };
    const hello = await invoke(call, { services, caller }) as { readonly client_id?: string };
    return hello.client_id ?? null;
  }

  /** Nobody can be told apart here: whoever guesses makes wrong tokens slow for all, and right ones for none. */
  async #loginFailed(): Promise<void> {
    const { services, diagnostics } = this.#options.context;
    const now = services.clock.now();
    if (now - this.#lastFailureMs > FORGET_FAILURES_MS) this.#failures = 0;
    this.#lastFailureMs = now;
    const delay = Math.min(MAX_LOGIN_DELAY_MS, LOGIN_DELAY_MS * 2 ** this.#failures++);
    services.metrics.authFailures++;
    diagnostics.warn("a request failed to authenticate", { failures: this.#failures });
    await new Promise((resolve) => setTimeout(resolve, delay));
  }

  #ownRoutes(): Route[] {
    const health = (exchange: Exchange) => this.#health(exchange);
    const socket = (exchange: Exchange) => this.#webSocket(exchange);
    return [
      { method: "GET", path: "/healthz", handle: health },
      { method: "GET", path: "/health", handle: health },
      { method: "GET", path: "/readyz", handle: (exchange) => this.#ready(exchange) },
      { method: "GET", path: "/metrics", handle: (exchange) => this.#metrics(exchange) },
      { method: "POST", path: "/rpc", handle: (exchange) => this.#rpc(exchange) },
      { method: "GET", path: "/events", handle: (exchange) => this.#events(exchange) },
      { method: "GET", path: "/ws", handle: socket },
      { method: "GET", path: "/", handle: socket },
    ];
  }

  #health({ caller }: Exchange): Response {
    this.#requireView(caller.principal);
    const { ready: _, ...health } = this.#options.context.services.health();
    return jsonResponse(health);
  }

  #ready({ caller }: Exchange): Response {
    this.#requireView(caller.principal);
    const { ready, status } = this.#options.context.services.health();
    return jsonResponse({ ready, status }, ready ? 200 : 503);
  }

  #metrics({ caller }: Exchange): Response {
    this.#requireView(caller.principal);
    const { context, connections } = this.#options;
    return new Response(prometheusText(context.services, connections()), {
      headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    });
  }

  #requireView(principal: Principal | null): void {
    if (!this.#options.settings.unauthenticatedMetrics) requireScope("GET", "read", principal);
  }

  async #rpc({ request, caller }: Exchange): Promise<Response> {
    const { context } = this.#options;
    const body = await textOf(request, context.limits().maxLineBytes);
    const asRefusal = (error: unknown) => this.#asRefusal(error);
    return await answerRpc(body, { context, caller, asRefusal });
  }

  async #events({ request, url, caller }: Exchange): Promise<Response> {
    const { context, settings, admit, leave } = this.#options;
    const { services } = context;
    const query = eventQuery(request, url);
    const { head, epoch } = services.log;
    const isOther = query.epoch !== null && query.epoch !== epoch;
    const reset = isOther || (typeof query.since === "number" && query.since > head);
    const params = { ...query.params, since: reset ? 0 : query.since, consumer: null };
    requireScope("GET /events", "read", caller.principal);
    if (this.#sseClients >= settings.maxSseClients) throw tooManyStreams(settings.maxSseClients);
    const stream = new EventStream({
      context,
      principal: caller.principal,
      follow: query.follow,
      heartbeatMs: settings.heartbeatMs,
      onClosed: () => {
        this.#sseClients--;
        leave(stream);
      },
    });
    this.#sseClients++;
    try {
      admit(stream);
      if (reset) stream.reset(epoch, head);
      (caller as HttpCaller).openStream = (wanted) => stream.open(wanted);
      await invoke({ operation: "event.subscribe", params, opened: false }, { services, caller });
    } catch (error) {
      stream.close();
      throw error;
    }
    stream.begin();
    return new Response(stream.body, {
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
    });
  }

  #webSocket({ request, url, caller }: Exchange): Response {
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      throw url.pathname === "/"
        ? new PosternError("not_found", 'there is nothing at "/" but a WebSocket')
        : new PosternError("invalid_request", `${shown(url.pathname)} takes a WebSocket upgrade`);
    }
    const { context, admit, leave } = this.#options;
    const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
    const wire = new WebSocketWire(socket);
    const connection = new Connection(wire, context, {
      transport: "websocket",
      codec: new JsonRpcCodec(),
      principal: caller.principal,
      client: caller.client,
    });
    try {
      admit(connection);
    } catch (error) {
      socket.onopen = () => socket.close(1013, (error as Error).message.slice(0, 120));
      return response;
    }
    this.#wires.add(wire);
    socket.onopen = () =>
      connection.serve().finally(() => {
        this.#wires.delete(wire);
        leave(connection);
      });
    return response;
  }

  #asRefusal(error: unknown): PosternError {
    return this.#options.context.asRefusal(error);
  }
}

function paramsOf(match: URLPatternResult): Record<string, string> {
  const groups = Object.entries(match.pathname.groups);
  return Object.fromEntries(groups.map(([name, value]) => [name, value ?? ""]));
}

/** On whose behalf a service asks; for the audit only, and short. */
function userIn({ headers }: Request): string | null {
  return headers.get("x-rdv-user-id")?.slice(0, 128) ?? null;
}

/** The query of `GET /events`, as far as HTTP gives it its form; the operation says what is right. */
function eventQuery(request: Request, { searchParams }: URL): {
  readonly params: Record<string, unknown>;
  readonly since: unknown;
  readonly epoch: string | null;
  readonly follow: boolean;
} {
  const list = (name: string) => searchParams.get(name)?.split(",").filter((one) => one !== "");
  const given = request.headers.get("last-event-id") ?? searchParams.get("since") ?? "0";
  const follow = searchParams.get("follow") ?? "1";
  if (follow !== "0" && follow !== "1") {
    throw new PosternError(
      "invalid_params",
      `events: follow: must be 0 or 1, got ${shown(follow)}`,
    );
  }
  return {
    params: { kinds: list("kinds"), topics: list("topics") },
    since: /^\d{1,16}$/.test(given) ? Number(given) : given,
    epoch: searchParams.get("epoch"),
    follow: follow === "1",
  };
}

function tooManyStreams(limit: number): PosternError {
  return new PosternError(
    "too_many",
    `GET /events: at most ${limit} streams at once (http.max_sse_clients)`,
    { limit },
  );
}

/** @throws PosternError `too_large`, `parse_error` */
async function textOf(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = () =>
    new PosternError("too_large", `a body must be at most ${maxBytes} bytes, this one is longer`, {
      limit: maxBytes,
    });
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let bytes = 0;
  try {
    for await (const chunk of request.body ?? []) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw tooLarge();
      text += decoder.decode(chunk, { stream: true });
    }
    return text + decoder.decode();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new PosternError("parse_error", "a body must be UTF-8, this one is not");
  }
}
