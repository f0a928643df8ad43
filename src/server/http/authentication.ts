/**
 * Who asks by HTTP: the principal of a request's token, the client that its headers present, and what a wrong token
 * costs.
 *
 * Nobody can be told apart on this socket before a token is shown: so whoever guesses makes wrong tokens slow for
 * all, and right ones for none. Bounds: `MAX_WAITING` refusals held back at once, `LOGINS_KEPT` tokens remembered.
 */

import { PosternError, withoutSecrets } from "../../core/errors.ts";
import type { Principal } from "../../core/principal.ts";
import { MAX_TOKENS, type Tokens } from "../../core/tokens.ts";
import { audit } from "../../operations/observe.ts";
import { invoke } from "../../operations/registry.ts";
import type { ServerContext } from "../context.ts";
import { HttpCaller } from "./http_caller.ts";

/** How long a failed authentication is held back; each further one twice as long, up to the most. */
const LOGIN_DELAY_MS = 100;
const MAX_LOGIN_DELAY_MS = 3200;
/** Failures that are held back at once; one more is `rate_limited` without being held. */
const MAX_WAITING = 64;
/** After so long without a further failure they are forgotten. */
const FORGET_FAILURES_MS = 10_000;
/** How often the audit notes that a token was shown, however many requests show it. */
const LOGIN_NOTED_MS = 60_000;
/** Tokens of which that is remembered: every named one, and the owner's. */
const LOGINS_KEPT = MAX_TOKENS + 1;
/** Characters of an on-behalf-of in the audit. */
const USER_CHARS = 128;

/** Tells who asks by each request of one server. */
export class Authentication {
  readonly #context: ServerContext;
  /** When each token was last noted in the audit. */
  readonly #loginsMs = new Map<string, number>();
  #failures = 0;
  #lastFailureMs = 0;
  /** Ends of the refusals that are held back. */
  readonly #waiting = new Set<() => void>();
  #isStopping = false;

  constructor(context: ServerContext) {
    this.#context = context;
  }

  /** Holds nothing back any more. */
  stop(): void {
    this.#isStopping = true;
    for (const end of [...this.#waiting]) end();
  }

  /**
   * Whoever asks by a request; one without a token may do what needs none.
   *
   * @throws PosternError `auth_failed` for a token that is not valid, after a while; `rate_limited`
   */
  async callerOf({ headers }: Request): Promise<HttpCaller> {
    const { services } = this.#context;
    const given = authenticated(headers, services.tokens);
    // Whoever shows a wrong one is nobody, also where nobody needs to show any.
    const principal = given === undefined ? null : given ?? this.#context.trusted();
    const caller = new HttpCaller({
      principal,
      onBehalfOf: principal === null ? null : userIn(headers),
      beforeLogin: () => this.#requireFewWaiting(),
      loginFailed: () => this.#loginFailed(),
    });
    if (given === undefined) {
      services.metrics.authFailures++;
      audit("auth.login", "auth_failed", { services, caller });
      await this.#loginFailed();
      throw new PosternError("auth_failed", "the request's token is not valid");
    }
    if (given !== null) this.#noteLogin(given, caller);
    return caller;
  }

  /** Makes the caller the client that its headers say. @returns The id that was minted for it, if one was. */
  async identify({ headers }: Request, caller: HttpCaller): Promise<string | null> {
    const kind = headers.get("x-client-kind");
    if (kind === null) return null;
    const id = headers.get("x-client-id");
    const params = { client_kind: kind, ...(id === null ? {} : { client_id: id }) };
    const { services } = this.#context;
    const call = { operation: "system.hello", params, opened: false };
    const hello = await invoke(call, { services, caller }) as { readonly client_id?: string };
    return hello.client_id ?? null;
  }

  /** Every request authenticates; the audit has each token once in a while. */
  #noteLogin({ tokenId }: Principal, caller: HttpCaller): void {
    const { services } = this.#context;
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

  async #loginFailed(): Promise<void> {
    const now = this.#context.services.clock.now();
    if (now - this.#lastFailureMs > FORGET_FAILURES_MS) this.#failures = 0;
    this.#lastFailureMs = now;
    this.#failures++;
    this.#requireFewWaiting();
    if (this.#isStopping) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => end(), this.#delayMs);
      const end = () => {
        clearTimeout(timer);
        this.#waiting.delete(end);
        resolve();
      };
      this.#waiting.add(end);
    });
  }

  get #delayMs(): number {
    return Math.min(MAX_LOGIN_DELAY_MS, LOGIN_DELAY_MS * 2 ** (this.#failures - 1));
  }

  /** @throws PosternError `rate_limited` */
  #requireFewWaiting(): void {
    if (this.#waiting.size >= MAX_WAITING) throw tooManyFailures(this.#delayMs);
  }
}

/** Whom the request's token stands for; `null` without a token, `undefined` for one that is not valid. */
function authenticated(headers: Headers, tokens: Tokens): Principal | null | undefined {
  const given = tokenIn(headers);
  return given === null ? null : tokens.authenticate(given) ?? undefined;
}

function tokenIn(headers: Headers): string | null {
  const authorization = headers.get("authorization");
  const bearer = /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  const service = headers.get("x-rdv-service-token");
  if (service === null) return authorization === null ? null : "";
  return asHex(service.replace(/^bearer +/i, "").trim());
}

/** A token of 32 bytes may be written in base64, as services of the remote-dev backend do. */
function asHex(token: string): string {
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(token)) return token;
  const base64 = token.replaceAll("-", "+").replaceAll("_", "/");
  return Array.from(atob(base64), (unit) => unit.charCodeAt(0).toString(16).padStart(2, "0"))
    .join("");
}

/** On whose behalf a service asks; for the audit only. */
function userIn(headers: Headers): string | null {
  const user = headers.get("x-rdv-user-id");
  // Before the cut: what is left of a secret would not be known as one.
  return user === null ? null : withoutSecrets(user).slice(0, USER_CHARS);
}

function tooManyFailures(retryAfterMs: number): PosternError {
  return new PosternError(
    "rate_limited",
    `${MAX_WAITING} requests with tokens that are not valid are waiting for their answer already`,
    { retry_after_ms: retryAfterMs, limit: MAX_WAITING },
  );
}
