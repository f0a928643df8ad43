/**
 * Whoever asks by one HTTP request.
 *
 * Nothing streams to it unless the route gives it something to stream on, and nothing it says is remembered behind
 * the request.
 */

import { PosternError } from "../../core/errors.ts";
import { Departure } from "../../core/departure.ts";
import type { ClientClaim, ClientIdentity } from "../../core/clients.ts";
import type { Principal } from "../../core/principal.ts";
import { Producer } from "../../core/producer.ts";
import { LoginFailures } from "../login_failures.ts";
import type { Caller, LogSubscriptionRequest } from "../../operations/operation.ts";

export interface HttpCallerOptions {
  readonly principal: Principal | null;
  readonly onBehalfOf: string | null;
  /** @throws PosternError `rate_limited` */
  readonly beforeLogin: () => void;
  readonly loginFailed: () => Promise<void>;
}

export class HttpCaller implements Caller {
  readonly isRemote = false;
  readonly transport = "http";
  readonly producer: Producer = new Producer();
  readonly departure: Departure = new Departure();
  readonly runner = null;
  claim: ClientClaim | null = null;
  readonly provider = null;
  readonly onBehalfOf: string | null;
  /** Where a stream of events is to go. */
  openStream: ((request: LogSubscriptionRequest) => string) | null = null;
  consumer = "default";
  #principal: Principal | null;
  #client: ClientIdentity | null = null;
  readonly #options: HttpCallerOptions;
  readonly #loginFailures = new LoginFailures();

  constructor(options: HttpCallerOptions) {
    this.#options = options;
    this.#principal = options.principal;
    this.onBehalfOf = options.onBehalfOf;
  }

  /** Why nothing more is carried out in this request, or `null`. */
  get refusal(): PosternError | null {
    return this.#loginFailures.isExhausted ? this.#loginFailures.refusal() : null;
  }

  get client(): ClientIdentity | null {
    return this.#client;
  }

  identify(client: ClientIdentity): void {
    this.#client = client;
  }

  get principal(): Principal | null {
    return this.#principal;
  }

  greet(consumer: string): void {
    this.consumer = consumer;
  }

  login(principal: Principal): void {
    this.#principal = principal;
  }

  beforeLogin(): void {
    this.#options.beforeLogin();
  }

  loginFailed(): Promise<void> {
    this.#loginFailures.note();
    return this.#options.loginFailed();
  }

  subscribe(request: LogSubscriptionRequest): string {
    if (this.openStream === null) throw nothingToStreamOn("event.subscribe");
    return this.openStream(request);
  }

  watchRecords(): string {
    throw nothingToStreamOn("record.subscribe");
  }

  unsubscribe(): boolean {
    return false;
  }
}

function nothingToStreamOn(operation: string): PosternError {
  return new PosternError(
    "invalid_request",
    `${operation}: an HTTP request has nothing to stream on; use GET /events, GET /ws or postern.sock`,
  );
}
