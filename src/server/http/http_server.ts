/**
 * The daemon's HTTP socket: `Deno.serve` in front of the same operations.
 *
 * Invariants: every request passes the guards and then the table of routes; what a route asks for goes through the
 * registry and nothing else decides about it. Bounds: bodies and answers as their files say, `maxSseClients` streams
 * of events, requests with a token, all together and of one, and the connections of both sockets together. How the
 * daemon is, is always told: that waits for nothing and takes no place.
 */

import { JsonRpcCodec } from "../../codecs/json_rpc.ts";
import { PosternError } from "../../core/errors.ts";
import { Places, quarters } from "../../core/places.ts";
import type { Principal } from "../../core/principal.ts";
import type { RouteMatch } from "../../core/routes.ts";
import { invoke, requireScope } from "../../operations/registry.ts";
import { Connection } from "../connection.ts";
import type { ServerContext } from "../context.ts";
import type { Served } from "../served.ts";
import { Answers } from "./answers.ts";
import { Authentication } from "./authentication.ts";
import { eventQuery } from "./event_query.ts";
import { EventStream } from "./event_stream.ts";
import { isHttp2, requireLocal, requireVersion, withVersion } from "./guards.ts";
import { prometheusText } from "./prometheus.ts";
import { Listener } from "./listener.ts";
import { RequestBodies } from "./request_body.ts";
import { errorResponse, type Exchange, jsonResponse, type Route } from "./route.ts";
import { RouteTable } from "./route_table.ts";
import { answerRpc, rpcRefusal } from "./rpc.ts";
import { serviceRoute } from "./service_routes.ts";
import { Strangers } from "./strangers.ts";
import { TurnedAway } from "./turned_away.ts";
import { otherVersion, requireUpgrade, upgraded } from "./upgrade.ts";
import { WebSocketWire } from "./web_socket_wire.ts";

export interface HttpSettings {
  readonly heartbeatMs: number;
  readonly maxSseClients: number;
  readonly unauthenticatedMetrics: boolean;
  /** Whether only the daemon's own user reaches the socket. */
  readonly isPrivate: boolean;
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
  /** Called when the socket had to be opened again; rights on it are not this server's. */
  readonly opened: () => void;
  /** Why there is no room for another connection, if there is none. */
  readonly full: () => PosternError | null;
  /** Takes a connection among all of them. @throws PosternError `too_many` */
  readonly admit: (served: Served) => void;
  readonly leave: (served: Served) => void;
}

/** On a stop, how long whoever does not take the answer is waited for. */
const STUCK_MS = 1000;
/** Bytes of all WebSockets that came and are not read yet. */
const INPUT_TOTAL_BYTES = 128 * 1024 * 1024;

/** The HTTP server of one daemon. */
export class HttpServer {
  readonly #options: HttpOptions;
  readonly #routes: RouteTable;
  readonly #wires = new Set<WebSocketWire>();
  readonly #authentication: Authentication;
  readonly #bodies: RequestBodies;
  readonly #answers = new Answers();
  readonly #strangers: Strangers;
  readonly #turnedAway = new TurnedAway();
  #stopping = false;
  #sseClients = 0;
  #inProgress = 0;
  /** For requests with a token. */
  readonly #places: Places;
  /** Bytes that came by WebSockets and are not read yet. */
  #inputBytes = 0;
  #whenQuiet: (() => void) | null = null;
  #listener: Listener | null = null;

  constructor(options: HttpOptions) {
    this.#options = options;
    const timeoutMs = () => options.context.limits().helloTimeoutMs;
    this.#strangers = new Strangers({ isPrivate: options.settings.isPrivate, timeoutMs });
    const { context } = options;
    this.#authentication = new Authentication(context);
    this.#bodies = new RequestBodies({ strangerMs: () => context.limits().helloTimeoutMs });
    this.#places = new Places(() => ({
      of: "HTTP",
      what: "requests",
      ...quarters(context.limits().maxConnections),
    }));
    const { provided } = context.services;
    this.#routes = new RouteTable([...this.#ownRoutes(), ...options.routes], {
      find: (method, path) => this.#serviceRoute(provided.route(method, path)),
      methodsOf: (path) => provided.routeMethods(path),
    });
  }

  /** Serves HTTP on a Unix socket. Resolves when it listens. */
  listen(path: string): Promise<void> {
    this.#listener = new Listener({
      path,
      handle: (request) => this.#answer(request),
      onError: (error) => withVersion(errorResponse(this.#asRefusal(error))),
      opened: () => this.#options.opened(),
      diagnostics: this.#options.context.diagnostics,
    });
    return this.#listener.listen();
  }

  /**
   * Refuses what comes from now on, and resolves when what came before is answered. Streams and WebSockets are ended
   * by the server that they belong to. Whoever does not take the answer is not waited for.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const wire of this.#wires) wire.goingAway = true;
    this.#bodies.stop();
    this.#authentication.stop();
    // The platform's own shutdown would close them without a reason.
    await Promise.all([...this.#wires].map((wire) => wire.gone));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stuck = this.#quiet().then(() =>
      new Promise<void>((resolve) => timer = setTimeout(resolve, STUCK_MS))
    );
    await Promise.race([this.#listener?.shutdown(), stuck]);
    clearTimeout(timer);
    this.#bodies.close();
    this.#answers.close();
    this.#listener?.giveUp();
  }

  /** Resolves when no request is being answered and no events are streamed. */
  #quiet(): Promise<void> {
    if (this.#inProgress + this.#sseClients === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenQuiet = resolve);
  }

  #tellQuiet(): void {
    if (this.#inProgress + this.#sseClients === 0) this.#whenQuiet?.();
  }

  async #answer(request: Request): Promise<Response> {
    this.#inProgress++;
    try {
      return withVersion(await this.#answerGuarded(request));
    } catch (error) {
      return withVersion(this.#refusal(error));
    } finally {
      this.#inProgress--;
      this.#tellQuiet();
    }
  }

  async #answerGuarded(request: Request): Promise<Response> {
    if (isHttp2(request)) return new Response(null, { status: 505 });
    requireLocal(request, this.#options.settings.name);
    requireVersion(request);
    if (this.#stopping) throw new PosternError("shutting_down", "the daemon is stopping");
    const url = urlOf(request);
    const { route, params } = this.#routes.find(request.method, url.pathname);
    const caller = await this.#authentication.callerOf(request);
    // Requests without a token are bounded where they can wait: by their bodies.
    const tokenId = caller.principal?.tokenId ?? null;
    const isBounded = tokenId !== null && !route.isHealth;
    const leave = isBounded ? this.#places.take(tokenId) : () => {};
    try {
      const minted = await this.#authentication.identify(request, caller);
      const answers = this.#answers.of(tokenId ?? "");
      const exchange = { request, url, params, caller, answers };
      const response = await this.#handle(route, exchange);
      if (minted !== null) response.headers.set("x-client-id", minted);
      return response;
    } finally {
      leave();
      caller.producer.end();
      caller.departure.end();
    }
  }

  async #handle(route: Route, exchange: Exchange): Promise<Response> {
    try {
      return await route.handle(exchange);
    } catch (error) {
      return this.#refusal(error);
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

  #serviceRoute(match: RouteMatch | null): Route | null {
    if (match === null) return null;
    const { services, limits } = this.#options.context;
    return serviceRoute(match, {
      services,
      bodies: this.#bodies,
      maxBytes: limits().maxLineBytes,
    });
  }

  #ownRoutes(): Route[] {
    const health = (exchange: Exchange) => this.#health(exchange);
    const socket = (exchange: Exchange) => this.#webSocket(exchange);
    return [
      { method: "GET", path: "/healthz", isHealth: true, handle: health },
      { method: "GET", path: "/health", isHealth: true, handle: health },
      { method: "GET", path: "/readyz", isHealth: true, handle: (given) => this.#ready(given) },
      { method: "GET", path: "/metrics", isHealth: true, handle: (given) => this.#metrics(given) },
      { method: "POST", path: "/rpc", handle: (exchange) => this.#rpc(exchange) },
      { method: "GET", path: "/events", handle: (exchange) => this.#events(exchange) },
      { method: "GET", path: "/ws", handle: socket },
      { method: "GET", path: "/", handle: socket },
    ];
  }

  #health({ caller, url }: Exchange): Response {
    this.#requireView(url, caller.principal);
    const { ready: _, ...health } = this.#options.context.services.health();
    return jsonResponse(health);
  }

  #ready({ caller, url }: Exchange): Response {
    this.#requireView(url, caller.principal);
    const { ready, status } = this.#options.context.services.health();
    return jsonResponse({ ready, status }, ready ? 200 : 503);
  }

  #metrics({ caller, url, answers }: Exchange): Response {
    this.#requireView(url, caller.principal);
    const { context, connections } = this.#options;
    const text = prometheusText(context.services, {
      connections: connections(),
      httpRequests: this.#inProgress + this.#answers.count,
    });
    return answers.respond(text, 200, {
      "content-type": "text/plain; version=0.0.4; charset=utf-8",
    });
  }

  #requireView({ pathname }: URL, principal: Principal | null): void {
    if (this.#options.settings.unauthenticatedMetrics) return;
    requireScope(`GET ${pathname}`, "read", principal);
  }

  async #rpc(exchange: Exchange): Promise<Response> {
    const { context } = this.#options;
    const { caller, answers } = exchange;
    const { maxLineBytes } = context.limits();
    const asRefusal = (error: unknown) => this.#asRefusal(error);
    try {
      return await this.#bodies.use(
        exchange,
        maxLineBytes,
        (body, signal) => answerRpc(body, { context, caller, answers, signal, asRefusal }),
      );
    } catch (error) {
      // Whoever has come so far reads JSON-RPC.
      return rpcRefusal(asRefusal(error));
    }
  }

  async #events({ request, url, caller }: Exchange): Promise<Response> {
    const { context, settings, admit, leave } = this.#options;
    const { services } = context;
    const query = eventQuery(request, url);
    const { head, epoch } = services.log;
    const isOther = query.epoch !== null && query.epoch !== epoch;
    const reset = isOther || query.since > head;
    const params = { ...query.params, since: reset ? 0 : query.since, consumer: null };
    requireScope("GET /events", "read", caller.principal);
    if (this.#sseClients >= settings.maxSseClients) throw tooManyStreams(settings.maxSseClients);
    const stream = new EventStream({
      context,
      principal: caller.principal,
      client: caller.client,
      follow: query.follow,
      heartbeatMs: settings.heartbeatMs,
      onClosed: () => {
        this.#sseClients--;
        leave(stream);
        this.#tellQuiet();
      },
    });
    this.#sseClients++;
    try {
      admit(stream);
      if (reset) stream.reset(epoch, head);
      caller.openStream = (wanted) => stream.open(wanted);
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
    requireUpgrade(request, url);
    const other = otherVersion(request);
    if (other !== null) return other;
    const isStranger = caller.principal === null;
    if (isStranger) this.#strangers.requireRoom(url.pathname);
    const { context, full, admit, leave } = this.#options;
    const refusal = full();
    if (refusal !== null && (isStranger || !this.#turnedAway.hasRoom)) throw refusal;
    const { socket, response } = upgraded(request);
    if (refusal !== null) {
      this.#turnedAway.add(socket, refusal);
      return response;
    }
    const released = Promise.withResolvers<void>();
    const wire = new WebSocketWire(socket, {
      hold: (bytes) => this.#holdInput(bytes),
      onRefused: (reason) => context.diagnostics.warn("a WebSocket was closed", { reason }),
      onGone: () => released.resolve(),
    });
    const connection = new Connection(wire, context, {
      transport: "websocket",
      codec: new JsonRpcCodec(),
      principal: caller.principal,
      client: caller.client,
    });
    admit(connection);
    this.#wires.add(wire);
    if (isStranger) this.#strangers.watch(connection, released.promise);
    // Whoever went may have said something before that is still being carried out.
    Promise.all([connection.serve(), released.promise]).then(() => {
      this.#wires.delete(wire);
      leave(connection);
    });
    return response;
  }

  /** @returns Whether what came by all WebSockets and is not read yet is too much. */
  #holdInput(bytes: number): boolean {
    return (this.#inputBytes += bytes) > INPUT_TOTAL_BYTES;
  }

  #asRefusal(error: unknown): PosternError {
    return this.#options.context.asRefusal(error);
  }
}

function tooManyStreams(limit: number): PosternError {
  return new PosternError(
    "too_many",
    `GET /events: at most ${limit} streams at once (http.max_sse_clients)`,
    { limit },
  );
}

/** Where a request goes; the host is the guards' to look at, and may be no name at all. */
function urlOf({ url }: Request): URL {
  return new URL(`http://localhost${url.replace(/^[a-z+]+:\/\/[^/?#]*/i, "")}`);
}
