/** Operations on services: methods that connected clients provide. */

import { z } from "zod";
import { ERROR_CODES, type ErrorCode, PosternError, shown } from "../core/errors.ts";
import { HTTP_METHODS, pathFault, type Route, routeKey } from "../core/routes.ts";
import type { ServiceDefinition } from "../core/service_definition.ts";
import { MAX_SERVICES, type ServiceInfo } from "../core/service_registry.ts";
import { JsonText } from "../core/text.ts";
import { requireValid, schemaText } from "./json_schema.ts";
import { type Caller, defineOperation } from "./operation.ts";
import { afterIn, afterName, hasMore, limitOf, pageOf } from "./reply_page.ts";

const MAX_METHODS = 256;
const MAX_ROUTES = 256;
/** Of all schemas of one service. */
const MAX_SCHEMA_CHARS = 256 * 1024;
const MAX_CONCURRENT = 1000;
const MAX_TIMEOUT_MS = 600_000;

/** Names that are taken in the objects of some languages: whoever looks a method up by its name would find another. */
const UNSAFE = /(^|\.)(__proto__|constructor|prototype)(\.|$)/i;
const safe = { error: "a name must not be __proto__, constructor or prototype" };

const serviceName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, {
  error: "a service's name must be 1 to 64 of [A-Za-z0-9_-]",
}).refine((name) => !UNSAFE.test(name), safe);
const methodName = z.string().regex(/^(?=.{1,128}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, {
  error: "a method's name must be dot-separated segments of [A-Za-z0-9_-], at most 128 characters",
}).refine((name) => !UNSAFE.test(name), safe);

const callId = z.string().min(1).max(64);

const route = z.object({
  method: z.enum(HTTP_METHODS),
  path: z.string().max(256).describe("/api/ and segments; :name is a parameter"),
  call: methodName.describe("the method of the service that it calls"),
});

const described = {
  name: z.string(),
  methods: z.array(z.object({
    name: z.string(),
    schema: z.unknown().optional().describe("JSON Schema of its parameters"),
  })),
  routes: z.array(route),
  providers: z.number().int().describe("connections that provide it, in turn"),
  max_concurrent: z.number().int().describe("calls that they take at once, together"),
  running: z.number().int().describe("calls that they are at"),
  waiting: z.number().int().describe("calls that wait for one of them"),
};

export const SERVICE_REGISTER = defineOperation({
  name: "service.register",
  summary: "Provide methods to others, on this connection until it ends.",
  scope: "serve",
  params: z.object({
    name: serviceName,
    methods: z.array(z.object({
      name: methodName,
      schema: z.union([z.record(z.string(), z.unknown()), z.boolean()]).optional()
        .describe("JSON Schema (2020-12) that parameters must match; at most 32 KiB"),
    })).min(1).max(MAX_METHODS),
    routes: z.array(route).max(MAX_ROUTES).default([])
      .describe("requests over HTTP that are calls of it"),
    max_concurrent: z.number().int().min(1).max(MAX_CONCURRENT).default(16)
      .describe("calls that this connection takes at once; others wait"),
  }),
  result: z.object(described),
  handle(params, { services, caller }) {
    const provider = requireProvider(caller);
    const definition = definitionOf(params);
    const tokenId = caller.principal?.tokenId ?? "";
    return told(services.provided.register(provider, definition, params.max_concurrent, tokenId));
  },
});

export const SERVICE_LIST = defineOperation({
  name: "service.list",
  summary: "List the services that are provided now, by name, as many as fit a reply.",
  scope: "read",
  params: z.object({ after: afterName, limit: limitOf(MAX_SERVICES) }),
  result: z.object({ services: z.array(z.object(described)), has_more: hasMore }),
  handle({ after, limit }, { services }) {
    const behind = afterIn(services.provided.list(), after);
    const page = pageOf(behind, limit, (info) => JSON.stringify(told(info)));
    return { services: page.list, has_more: page.hasMore };
  },
});

export const SERVICE_CALL = defineOperation({
  name: "service.call",
  summary: "Call a service's method; the result is what its provider answers.",
  scope: "send",
  free: true,
  params: z.object({
    service: serviceName,
    method: methodName,
    params: z.record(z.string(), z.unknown()).default({}).describe("what the method takes"),
    timeout_ms: z.number().int().min(1).max(MAX_TIMEOUT_MS).default(30_000)
      .describe(
        `how long to wait, the wait for a turn included, to the second; 1 to ${MAX_TIMEOUT_MS}`,
      ),
    call_id: callId.optional().describe("the caller's own name for it, for service.cancel"),
  }),
  result: z.unknown().describe("what the provider answers"),
  handle({ service, method, params, timeout_ms: timeoutMs, call_id: callId }, context) {
    const { services, caller } = context;
    const called = services.provided.method(service, method);
    const whose = shown(`${service}.${method}`);
    requireValid({ operation: "service.call", field: "params", whose }, called, params);
    return services.provided.call({
      service,
      method,
      params: new JsonText(JSON.stringify(params)),
      timeoutMs,
      callId,
      caller: {
        originator: caller.client?.originator ?? null,
        scopes: [...caller.principal?.scopes ?? []],
      },
      tokenId: caller.principal?.tokenId ?? "",
      departure: caller.departure,
    });
  },
});

export const SERVICE_CANCEL = defineOperation({
  name: "service.cancel",
  summary: "End a call of this connection that has no answer yet; its provider is told.",
  scope: "send",
  params: z.object({ call_id: callId.describe("what service.call was given") }),
  result: z.object({}),
  handle({ call_id }, { services, caller }) {
    if (services.provided.cancel(caller.departure, call_id)) return {};
    throw new PosternError(
      "not_found",
      `service.cancel: call_id: this connection has no open call ${shown(call_id)}`,
      { field: "call_id" },
    );
  },
});

export const SERVICE_ANSWER = defineOperation({
  name: "service.answer",
  summary: "Answer a call that came to this connection, where that is not done by a response.",
  scope: "serve",
  params: z.object({
    id: z.string().max(64).describe("the call's"),
    result: z.unknown().optional().describe("what the method comes to; null if absent"),
    error: z.object({
      code: z.union([z.string(), z.number()]).optional()
        .describe(
          "one of our codes that a provider may use; of any other the caller gets internal",
        ),
      message: z.string().optional(),
    }).optional().describe("why it came to nothing, instead of a result"),
  }),
  result: z.object({}),
  handle({ id, result = null, error }, { services, caller }) {
    const answer = error === undefined ? { result } : { error: providerError(error) };
    if (services.provided.answer(requireProvider(caller), id, answer)) return {};
    throw new PosternError(
      "not_found",
      `service.answer: id: this connection has no call ${
        shown(id)
      }, or nobody waits for it any more`,
      { field: "id" },
    );
  },
});

/** What a provider may say of a call in our own words; of anything else it is the provider that failed. */
const PROVIDERS_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  "invalid_params",
  "permission_denied",
  "not_found",
  "no_value",
  "conflict",
  "too_large",
  "rate_limited",
  "too_many",
  "service_unavailable",
  "timeout",
  "storage_full",
]);

/** JSON-RPC's own codes that a provider's library may use. */
const JSON_RPC_CODES: ReadonlyMap<unknown, ErrorCode> = new Map<unknown, ErrorCode>([
  [-32602, "invalid_params"],
  [-32601, "not_found"],
  [-32002, "timeout"],
]);

/**
 * A provider's error as its caller is told of it.
 *
 * @param error As JSON-RPC has it: `{code, message, data?}`, where `code` or `data.code` may be one of our codes.
 * @returns With that code if a provider may use it, else `internal`; `service_code` is the provider's own number.
 */
export function providerError(
  error: { readonly code?: unknown; readonly message?: unknown; readonly data?: unknown },
): PosternError {
  const { code, data } = error;
  const named = typeof data === "object" && data !== null
    ? (data as { code?: unknown }).code
    : code;
  const ours = ERROR_CODES.find((one) => one === named && PROVIDERS_CODES.has(one));
  const message = typeof error.message === "string" ? error.message.slice(0, 4096) : "";
  return new PosternError(
    ours ?? JSON_RPC_CODES.get(code) ?? "internal",
    message === "" ? "service.call: the provider answered an error without a message" : message,
    typeof code === "number" ? { service_code: code } : undefined,
  );
}

function requireProvider({ provider }: Caller) {
  if (provider !== null) return provider;
  throw new PosternError(
    "invalid_request",
    "service.register: calls cannot come to this connection; provide on postern.sock or GET /ws, not in AimX",
  );
}

function definitionOf(
  { name, methods, routes }: z.infer<typeof SERVICE_REGISTER.params>,
): ServiceDefinition {
  const names = methods.map((method) => method.name);
  requireUnique("methods", names);
  const read = methods.map((method, i) => ({
    name: method.name,
    schema: method.schema === undefined
      ? null
      : schemaText(`service.register: methods.${i}.schema`, method.schema),
  }));
  const chars = read.reduce((sum, { schema }) => sum + (schema?.length ?? 0), 0);
  if (chars > MAX_SCHEMA_CHARS) {
    throw new PosternError(
      "too_large",
      `service.register: methods: all schemas together are at most ${MAX_SCHEMA_CHARS} characters, got ${chars}`,
      { limit: MAX_SCHEMA_CHARS },
    );
  }
  routes.forEach((route, i) => requireRoute(`routes.${i}`, route, names));
  requireUnique("routes", routes.map(routeKey));
  return { name, methods: read, routes };
}

function requireRoute(where: string, { path, call }: Route, methods: readonly string[]): void {
  const fault = pathFault(path);
  if (fault !== null) throw invalid(`${where}.path`, `${fault}, got ${shown(path)}`);
  if (methods.includes(call)) return;
  throw invalid(`${where}.call`, `must be one of the service's methods, got ${shown(call)}`);
}

function requireUnique(field: string, keys: readonly string[]): void {
  const twice = keys.find((key, i) => keys.indexOf(key) < i);
  if (twice !== undefined) {
    throw invalid(field, `must not have one twice, got ${shown(twice)} twice`);
  }
}

function invalid(field: string, rule: string): PosternError {
  return new PosternError("invalid_params", `service.register: ${field}: ${rule}`, { field });
}

function told(info: ServiceInfo) {
  const { name, methods, routes, providers, maxConcurrent, running, waiting } = info;
  return {
    name,
    methods: methods.map(({ name, schema }) =>
      schema === null ? { name } : { name, schema: JSON.parse(schema) }
    ),
    routes: [...routes],
    providers,
    max_concurrent: maxConcurrent,
    running,
    waiting,
  };
}
