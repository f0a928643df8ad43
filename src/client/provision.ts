/**
 * One service that this program provides, on a connection of its own, so that calls hold up nothing else.
 *
 * What always holds: each call is handled once and answered once, unless nobody waits for it any more; after the loss
 * of the connection the service is registered on the next one, and calls that came over the lost one are aborted; it
 * ends once, by being closed, or because the daemon does not take it back. At most `maxConcurrent` calls come at once,
 * and as many more run as handlers pass over the end of their signal.
 */

import { type CallLine, encodeParams } from "./axon.ts";
import { Caller, type ClientParts } from "./caller.ts";
import { PosternError, shown } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import { Link } from "./link.ts";
import { attemptUntil, isRefusal } from "./reconnect.ts";
import type { AnyMethod, Checked, Issue, ProvideOptions, StandardSchema } from "./services.ts";

/** The service as it is registered, and who carries out its calls. */
export interface Provided {
  readonly name: string;
  readonly methods: Readonly<Record<string, AnyMethod>>;
  readonly options: ProvideOptions;
}

/**
 * A service that this program provides until it is closed. Made by {@linkcode Client.provide}.
 *
 * @example
 * ```ts
 * import { connect, type Provision, startTemporaryDaemon } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * await using daemon = await startTemporaryDaemon();
 * await using client = await connect({ dir: daemon.directory });
 * const service: Provision = await client.provide("clock", { now: { handler: () => Date.now() } });
 * assert(typeof await client.call("service.call", { service: "clock", method: "now" }) === "number");
 * service.close();
 * assert(await service.closed === null);
 * ```
 */
export class Provision implements AsyncDisposable {
  /** Resolves when it has ended: with `null` when it was closed, with the reason when it was lost for good. */
  readonly closed: Promise<Error | null>;
  readonly #provided: Provided;
  readonly #parts: ClientParts;
  readonly #registration: string;
  readonly #ended = new AbortController();
  /** Calls that are being handled, by their ids. */
  readonly #running = new Map<string, AbortController>();
  readonly #settleClosed: (reason: Error | null) => void;
  #link!: Link;
  #daemon!: Caller;

  private constructor(parts: ClientParts, provided: Provided) {
    this.#parts = parts;
    this.#provided = provided;
    this.#registration = encodeParams("service.register", registrationOf(provided));
    const { promise, resolve } = Promise.withResolvers<Error | null>();
    this.closed = promise;
    this.#settleClosed = resolve;
  }

  /**
   * Connects and registers.
   *
   * @throws what connecting or the registration fails with
   */
  static async open(parts: ClientParts, provided: Provided): Promise<Provision> {
    const provision = new Provision(parts, provided);
    const { openStream, policy } = parts;
    const { signal, timeoutMs } = provided.options;
    const link = provision.#link = await Link.open({ open: openStream, policy }, signal);
    provision.#daemon = new Caller({ ...parts, link });
    link.listener = {
      updated() {},
      called: (call) => void provision.#handle(call),
      cancelled: (id) => provision.#running.get(id)?.abort(cancelled()),
      lost: () => provision.#onLost(),
      ended: (error) => provision.#end(error),
    };
    try {
      await provision.#register({ signal, timeoutMs });
    } catch (error) {
      provision.close();
      throw error;
    }
    return provision;
  }

  /** The service's name. */
  get name(): string {
    return this.#provided.name;
  }

  /** Provides it no longer. Calls that are being handled are aborted, and fail for their callers. */
  close(): void {
    this.#end(null);
    this.#link.close("the service was closed");
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #register(options: ProvideOptions): Promise<unknown> {
    const { signal, timeoutMs } = options;
    const exchange = new Exchange("service.register", this.#registration, { signal, timeoutMs });
    exchange.repeatable = true;
    this.#link.carry(exchange);
    return exchange.outcome;
  }

  /** The next connection is being tried for; what is carried now goes there. */
  async #onLost(): Promise<void> {
    this.#abortAll(new Error("the connection to the daemon was lost"));
    try {
      await this.#register({});
    } catch (error) {
      const { policy } = this.#parts;
      if (policy === null || isRefusal(error)) return this.#fail(error as Error);
      await attemptUntil(() => this.#register({}), { policy, signal: this.#ended.signal })
        .catch((error) => this.#fail(error));
    }
  }

  async #handle({ id, method, params, caller }: CallLine): Promise<void> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    const answer = await this.#answerOf(method, params, {
      method,
      caller,
      signal: controller.signal,
      daemon: this.#daemon,
    });
    // Of another connection a call may have the same id.
    if (this.#running.get(id) === controller) this.#running.delete(id);
    if (controller.signal.aborted) return;
    this.#send(id, answer);
  }

  async #answerOf(
    method: string,
    params: unknown,
    call: Parameters<AnyMethod["handler"]>[1],
  ): Promise<object> {
    try {
      const name = method.slice(this.name.length + 1);
      const { methods } = this.#provided;
      if (!Object.hasOwn(methods, name)) {
        throw new PosternError("not_found", `${method}: there is no such method`);
      }
      const found = methods[name]!;
      const given = await checked(found.params, params, (issues) => {
        return new PosternError("invalid_params", `${method}: params${told(issues)}`);
      });
      const result = await found.handler(given as never, call);
      const checkedResult = await checked(found.result, result, (issues) => {
        return new PosternError("internal", `${method}: its own result${told(issues)}`);
      });
      return { result: checkedResult ?? null };
    } catch (error) {
      const code = error instanceof PosternError ? error.code : "internal";
      return { error: { code, message: error instanceof Error ? error.message : shown(error) } };
    }
  }

  #send(id: string, answer: object): void {
    const exchange = exchangeOf(id, answer);
    // On another connection nobody waits for it.
    exchange.staysBehind = true;
    this.#link.carry(exchange);
    exchange.outcome.catch((error) => {
      if (!(error instanceof PosternError) || error.code !== "too_large") return;
      this.#send(id, { error: { code: "too_large", message: `the result: ${error.message}` } });
    });
  }

  #abortAll(reason: Error): void {
    const running = [...this.#running.values()];
    this.#running.clear();
    for (const controller of running) controller.abort(reason);
  }

  #fail(error: Error): void {
    this.#end(error);
    this.#link.close(error.message);
  }

  #end(reason: Error | null): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    this.#abortAll(reason ?? new Error("the service was closed"));
    this.#settleClosed(reason);
  }
}

/** A result without a JSON form is an error of the method's. */
function exchangeOf(id: string, answer: object): Exchange {
  try {
    return new Exchange("service.answer", encodeParams("service.answer", { id, ...answer }));
  } catch (error) {
    const said = { code: "internal", message: (error as Error).message };
    return new Exchange("service.answer", encodeParams("service.answer", { id, error: said }));
  }
}

function registrationOf({ name, methods, options }: Provided): object {
  const { routes = [], maxConcurrent } = options;
  return {
    name,
    methods: Object.entries(methods).map(([method, { params }]) => ({
      name: method,
      ...schemaOf(`${name}.${method}`, params),
    })),
    routes,
    ...(maxConcurrent === undefined ? {} : { max_concurrent: maxConcurrent }),
  };
}

function schemaOf(method: string, schema: StandardSchema | undefined): { schema?: object } {
  const { jsonSchema } = schema?.["~standard"] ?? {};
  if (jsonSchema === undefined) return {};
  try {
    return { schema: jsonSchema.input({ target: "draft-2020-12" }) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PosternError(
      "invalid_params",
      `providing ${shown(method)}: params has no JSON Schema: ${why.slice(0, 256)}`,
      { field: "params" },
    );
  }
}

async function checked(
  schema: StandardSchema | undefined,
  value: unknown,
  refusal: (issues: readonly Issue[]) => PosternError,
): Promise<unknown> {
  if (schema === undefined) return value;
  const found: Checked<unknown> = await schema["~standard"].validate(value);
  if (found.issues !== undefined) throw refusal(found.issues);
  return found.value;
}

/** The first thing that is wrong, behind the name of what it is wrong with. */
function told(issues: readonly Issue[]): string {
  const [first] = issues;
  const path = (first?.path ?? []).map((part) =>
    `.${String(typeof part === "object" ? part.key : part)}`
  );
  return `${path.join("")}: ${first?.message ?? "does not match its schema"}`;
}

function cancelled(): Error {
  return new Error("nobody waits for the answer any more");
}
