/**
 * Services: methods that connected clients provide, and the calls of them.
 *
 * Invariants: each call has one outcome, which is the first of its provider's answer, its time-out, its caller's going
 * or cancelling, and its provider's going; only the provider that was given a call answers it; a provider is given at
 * most as many at once as it takes, and calls begin in the order in which they came. Providers of one name have the
 * same methods and routes, and calls go to them in turn; a call that waits is given to the method that it was for, or
 * to none. A caller's name for a call stands for one that is open. Nothing of this is stored.
 *
 * Bounds: the constants below. One call more is refused with `too_many`.
 */

import type { Departure } from "./departure.ts";
import { PosternError, shown } from "./errors.ts";
import type { Clock } from "./ports.ts";
import { OWNER_ID } from "./principal.ts";
import { OpenCalls } from "./open_calls.ts";
import { type RouteMatch, Routes } from "./routes.ts";
import type { Answer, CallRequest, Provider } from "./service_call.ts";
import {
  cancelledCall,
  full,
  goneCaller,
  openAlready,
  registeredAnew,
  reserved,
  timedOut,
  tooManyCalls,
  unavailable,
} from "./service_errors.ts";
import { requireSame, type ServiceDefinition, type ServiceMethod } from "./service_definition.ts";
import { Ticket } from "./ticket.ts";

export const MAX_SERVICES = 256;
/** Of them those that connections of one token provide, if that is not the owner's. */
export const MAX_SERVICES_EACH = 64;
/** Providers that share one name. */
export const MAX_PROVIDERS = 64;
/** Calls of one service that wait for a provider. */
export const MAX_WAITING = 1000;
/** Of them those of one token, if that is not the owner's. */
export const MAX_WAITING_EACH = 250;

/**
 * Names that no service may have, in any case, besides the nouns of operations: they mean something else on a
 * provider's wire.
 */
const RESERVED: readonly string[] = ["call", "rpc", "postern", "log"];

/** A service as everybody sees it. */
export interface ServiceInfo extends ServiceDefinition {
  readonly providers: number;
  /** Calls that its providers take at once, together. */
  readonly maxConcurrent: number;
  readonly running: number;
  readonly waiting: number;
}

interface Providing {
  readonly provider: Provider;
  readonly tokenId: string;
  maxConcurrent: number;
  readonly running: Set<OpenCall>;
}

interface Service {
  definition: ServiceDefinition;
  /** The next to be given a call comes first. */
  readonly providers: Providing[];
  readonly waiting: Set<OpenCall>;
}

interface OpenCall {
  readonly id: string;
  readonly request: CallRequest;
  readonly service: Service;
  readonly outcome: Ticket<unknown>;
  deadlineMs: number;
  /** Whoever has it; `null` while it waits. */
  at: Providing | null;
  /** Takes the cancellation back. */
  detach: () => void;
}

/** The services of one daemon. */
export class ServiceRegistry {
  readonly #clock: Clock;
  readonly #reserved: ReadonlySet<string>;
  readonly #services = new Map<string, Service>();
  readonly #routes = new Routes();
  readonly #calls = new Map<string, OpenCall>();
  #lastId = 0;
  readonly #room = new OpenCalls();
  /** Of each caller the calls that it has named. */
  readonly #named = new WeakMap<Departure, Map<string, OpenCall>>();

  /** @param options The nouns of operations, which no service may be named after. */
  constructor(options: { readonly clock: Clock; readonly nouns: Iterable<string> }) {
    this.#clock = options.clock;
    const names = [...RESERVED, ...options.nouns];
    this.#reserved = new Set(names.map((name) => name.toLowerCase()));
  }

  /** Every service that is provided now, by name. */
  list(): ServiceInfo[] {
    return [...this.#services.values()].map(infoOf).sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Whether somebody provides the service now. */
  has(service: string): boolean {
    return this.#services.has(service);
  }

  /**
   * A method of a service.
   *
   * @throws PosternError `service_unavailable` when nobody provides the service, `not_found` without the method.
   */
  method(service: string, method: string): ServiceMethod {
    const { methods } = this.#get(service).definition;
    const found = methods.find(({ name }) => name === method);
    if (found !== undefined) return found;
    throw new PosternError(
      "not_found",
      `service.call: the service ${shown(service)} has no method ${shown(method)}`,
      { field: "method" },
    );
  }

  /**
   * Offers a service. The same provider again replaces what it offered, if it is the only one.
   *
   * @param maxConcurrent Calls that it takes at once.
   * @param tokenId Of the token that the provider has shown.
   * @throws PosternError `permission_denied` for a reserved name; `conflict` where another provider offers other
   * methods or routes under this name, or another service has one of the routes; `too_many`.
   */
  register(
    provider: Provider,
    definition: ServiceDefinition,
    maxConcurrent: number,
    tokenId: string,
  ): ServiceInfo {
    const { name } = definition;
    if (this.#reserved.has(name.toLowerCase())) throw reserved(name);
    const known = this.#services.get(name);
    const own = known?.providers.find((one) => one.provider === provider);
    const isAlone = own !== undefined && known!.providers.length === 1;
    if (known !== undefined && !isAlone) requireSame(known.definition, definition);
    this.#requireFreeRoutes(definition);
    if (own === undefined) this.#requirePlace(name, known, tokenId);
    const service = known ?? { definition, providers: [], waiting: new Set() };
    this.#routes.remove(service.definition.routes);
    this.#routes.add(name, definition.routes);
    const before = service.definition.methods;
    service.definition = definition;
    this.#services.set(name, service);
    if (own === undefined) {
      service.providers.push({ provider, tokenId, maxConcurrent, running: new Set() });
    } else own.maxConcurrent = maxConcurrent;
    this.#endOutdated(service, before);
    this.#begin(service);
    return infoOf(service);
  }

  /** A provider has gone: what it was given fails with `service_unavailable`. */
  gone(provider: Provider): void {
    for (const [name, service] of [...this.#services]) {
      const index = service.providers.findIndex((one) => one.provider === provider);
      if (index < 0) continue;
      const [left] = service.providers.splice(index, 1);
      const isOver = service.providers.length === 0;
      if (isOver) {
        this.#services.delete(name);
        this.#routes.remove(service.definition.routes);
      }
      for (const call of [...left!.running, ...(isOver ? service.waiting : [])]) {
        this.#end(call, { error: unavailable(name, "its provider has gone") });
      }
    }
  }

  /**
   * Calls a method, at once or when a provider has room.
   *
   * @throws PosternError `service_unavailable`, `not_found`, `too_many`, `conflict` for a call of this name that is
   * open already; through the ticket `timeout`,
   * `service_unavailable` and what the provider answers.
   */
  call(request: CallRequest): Ticket<unknown> {
    this.method(request.service, request.method);
    const service = this.#get(request.service);
    this.#requireRoom(service, request);
    this.#requireFreeName(request);
    const call: OpenCall = {
      id: `c${++this.#lastId}`,
      request,
      service,
      outcome: new Ticket(),
      deadlineMs: this.#clock.now() + request.timeoutMs,
      at: null,
      detach: () => {},
    };
    this.#calls.set(call.id, call);
    this.#name(call);
    this.#room.take(request);
    service.waiting.add(call);
    call.detach = request.departure.add(() => this.#abandon(call, goneCaller(request)));
    this.#begin(service);
    return call.outcome;
  }

  /**
   * What became of a call.
   *
   * @returns `false` for a call that this provider does not have, or has no more; the answer is dropped then.
   */
  answer(provider: Provider, id: string, answer: Answer): boolean {
    const call = this.#calls.get(id);
    if (call === undefined || call.at?.provider !== provider) return false;
    this.#end(call, answer);
    return true;
  }

  /**
   * Ends the open call that a caller gave this name.
   *
   * @returns `false` when there is none.
   */
  cancel(departure: Departure, callId: string): boolean {
    const call = this.#named.get(departure)?.get(callId);
    if (call === undefined) return false;
    this.#abandon(call, cancelledCall(call.request));
    return true;
  }

  /** Whether the provider has an open call of that originator. */
  hasCallOf(provider: Provider, originator: string): boolean {
    return [...this.#services.values()].some(({ providers }) =>
      providers.some((one) =>
        one.provider === provider &&
        [...one.running].some(({ request }) => request.caller.originator === originator)
      )
    );
  }

  /** Ends calls whose time is over; to be called once a second. */
  expire(): void {
    const now = this.#clock.now();
    const overdue = [...this.#calls.values()].filter((call) => {
      // However far the clock steps back, nobody waits for longer than the time-out from now.
      call.deadlineMs = Math.min(call.deadlineMs, now + call.request.timeoutMs);
      return now >= call.deadlineMs;
    });
    // First those that wait, so that none of them gets the place of another.
    for (const call of overdue) {
      if (call.at === null) this.#abandon(call, timedOut(call.request, call.at !== null));
    }
    for (const call of overdue) this.#abandon(call, timedOut(call.request, call.at !== null));
  }

  /** Where a request over HTTP leads, or `null`. */
  route(method: string, path: string): RouteMatch | null {
    return this.#routes.find(method, path);
  }

  /** The HTTP methods that a path takes; none where it leads nowhere. */
  routeMethods(path: string): string[] {
    return this.#routes.methodsOf(path);
  }

  /** @throws PosternError `conflict` */
  #requireFreeName(request: CallRequest): void {
    const { departure, callId } = request;
    if (callId !== undefined && this.#named.get(departure)?.has(callId)) throw openAlready(request);
  }

  #name(call: OpenCall): void {
    const { departure, callId } = call.request;
    if (callId === undefined) return;
    const named = this.#named.get(departure) ?? new Map<string, OpenCall>();
    this.#named.set(departure, named.set(callId, call));
  }

  #get(name: string): Service {
    const service = this.#services.get(name);
    if (service !== undefined) return service;
    throw unavailable(name, "nobody provides it now; service.list lists those there are");
  }

  /** @throws PosternError `too_many` */
  #requirePlace(name: string, known: Service | undefined, tokenId: string): void {
    if (known !== undefined && known.providers.length >= MAX_PROVIDERS) {
      throw full(MAX_PROVIDERS, `providers of ${shown(name)}`);
    }
    if (known === undefined && this.#services.size >= MAX_SERVICES) {
      throw full(MAX_SERVICES, "services");
    }
    if (tokenId === OWNER_ID) return;
    const isOwn = ({ providers }: Service) => providers.some((one) => one.tokenId === tokenId);
    const count = [...this.#services.values()].filter(isOwn).length;
    // One that it shares becomes its alone when the others go.
    if (count < MAX_SERVICES_EACH || (known !== undefined && isOwn(known))) return;
    throw full(MAX_SERVICES_EACH, "services of this token");
  }

  /** Ends the calls that wait for a method as it was before, and is no more. */
  #endOutdated({ definition, waiting }: Service, before: readonly ServiceMethod[]): void {
    const find = (methods: readonly ServiceMethod[], call: OpenCall) =>
      methods.find(({ name }) => name === call.request.method);
    const outdated = [...waiting].filter((call) =>
      find(definition.methods, call)?.schema !== find(before, call)!.schema
    );
    // All at first: the end of one gives the next its turn.
    for (const call of outdated) waiting.delete(call);
    for (const call of outdated) {
      const { service, method } = call.request;
      const isGone = find(definition.methods, call) === undefined;
      this.#end(call, { error: registeredAnew(service, method, isGone) });
    }
  }

  #requireFreeRoutes({ name, routes }: ServiceDefinition): void {
    for (const route of routes) {
      const owner = this.#routes.ownerOf(route);
      if (owner === undefined || owner === name) continue;
      throw new PosternError(
        "conflict",
        `service.register: routes: ${shown(`${route.method} ${route.path}`)} is a route of ${
          shown(owner)
        }`,
        { field: "routes", service: owner },
      );
    }
  }

  #requireRoom({ providers, waiting }: Service, request: CallRequest): void {
    this.#room.require(request);
    if (providers.some((one) => one.running.size < one.maxConcurrent)) return;
    const { tokenId, service } = request;
    const what = `wait for the service ${shown(service)}`;
    if (waiting.size >= MAX_WAITING) throw tooManyCalls(MAX_WAITING, `calls ${what}`);
    if (tokenId === OWNER_ID) return;
    const own = [...waiting].filter((call) => call.request.tokenId === tokenId).length;
    if (own < MAX_WAITING_EACH) return;
    throw tooManyCalls(MAX_WAITING_EACH, `calls of this token ${what}`);
  }

  /** Gives providers what waits, as far as they have room. */
  #begin({ providers, waiting }: Service): void {
    for (const call of waiting) {
      // Its turn to be cancelled is about to come.
      if (call.request.departure.isOver) continue;
      const index = providers.findIndex((one) => one.running.size < one.maxConcurrent);
      if (index < 0) return;
      const [next] = providers.splice(index, 1);
      providers.push(next!);
      waiting.delete(call);
      call.at = next!;
      next!.running.add(call);
      const { service: name, method, params, caller } = call.request;
      next!.provider.call(call.id, `${name}.${method}`, params, caller);
    }
  }

  /** Ends a call that its provider may still be at. */
  #abandon(call: OpenCall, error: PosternError): void {
    if (!this.#calls.has(call.id)) return;
    call.at?.provider.cancel(call.id);
    this.#end(call, { error });
  }

  #end(call: OpenCall, answer: Answer): void {
    // A provider that answers as it is told of the cancellation.
    if (!this.#calls.delete(call.id)) return;
    const { departure, callId } = call.request;
    if (callId !== undefined) this.#named.get(departure)?.delete(callId);
    this.#room.giveBack(call.request);
    call.service.waiting.delete(call);
    call.at?.running.delete(call);
    call.detach();
    if ("error" in answer) call.outcome.fail(answer.error);
    else call.outcome.succeed(answer.result);
    this.#begin(call.service);
  }
}

function infoOf({ definition, providers, waiting }: Service): ServiceInfo {
  return {
    ...definition,
    providers: providers.length,
    maxConcurrent: providers.reduce((sum, one) => sum + one.maxConcurrent, 0),
    running: providers.reduce((sum, one) => sum + one.running.size, 0),
    waiting: waiting.size,
  };
}
