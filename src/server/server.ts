/**
 * Listens on the daemon's NDJSON socket and serves whoever connects.
 *
 * Invariants: at most `maxConnections` at once, those of servers that share the count included, one more is
 * told so and closed; all outboxes together stay below `OUTBOX_TOTAL_BYTES`, because a connection's share shrinks
 * as connections come; all unfinished lines stay below `INPUT_TOTAL_BYTES`, because then whoever holds most of it
 * is closed; all record updates that wait stay near `RECORDS_TOTAL_CHARS`, because then each reader keeps its
 * newest only.
 */

import { fallbackCodec } from "../codecs/dialects.ts";
import type { CodecSettings } from "../codecs/codec.ts";
import { PosternError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { type Principal, TRUSTED } from "../core/principal.ts";
import type { Presence, Services } from "../operations/operation.ts";
import { Connection } from "./connection.ts";
import { ConnectionCount } from "./connection_count.ts";
import type { ServerContext, ServerLimits } from "./context.ts";
import { HttpServer, type HttpSettings } from "./http/http_server.ts";
import type { Route } from "./http/route.ts";
import { RepeatedFailure } from "./repeated_failure.ts";
import type { Served } from "./served.ts";
import { SharedEncodings } from "./shared_encodings.ts";
import { Turns } from "./turns.ts";

export interface ServerOptions {
  readonly services: Services;
  readonly codecSettings: CodecSettings;
  readonly limits: ServerLimits;
  readonly diagnostics: Log;
  /** What `maxConnections` is a limit of. @default a count of its own */
  readonly openConnections?: ConnectionCount;
}

/** Bytes that the unfinished lines of all connections take together. */
const INPUT_TOTAL_BYTES = 128 * 1024 * 1024;
/** A buffer up to this size ends nobody: it is what reading takes. */
const INPUT_SMALL_BYTES = 64 * 1024;
/** Bytes that the outboxes of all connections take together, one reply of each aside. */
const OUTBOX_TOTAL_BYTES = 256 * 1024 * 1024;
/** Characters of record updates that wait for all readers together, as if none were shared. */
const RECORDS_TOTAL_CHARS = 64 * 1024 * 1024;
/** What an outbox may take even then, so that everyone is still answered, one request at a time. */
const OUTBOX_LEAST_BYTES = 16 * 1024;

/** Connections were accepted again if none failed for so long. */
const ACCEPTED_MS = 2000;

/** So long may a connection that is ended for its token take to get its last answers. */
const REVOKED_MS = 1000;

/** What HTTP needs beside what all connections share. */
export interface HttpServing {
  readonly settings: HttpSettings;
  /** Called when the socket had to be opened again, to give it its rights. */
  readonly opened: () => void;
  readonly routes: readonly Route[];
}

/** The server of one daemon. */
export class Server {
  readonly #connections = new Set<Served>();
  readonly #context: ServerContext;
  readonly #open: ConnectionCount;
  #listeners: Deno.Listener[] = [];
  #accepting: Promise<void>[] = [];
  #limits: ServerLimits;
  #http: HttpServer | null = null;
  #inputBytes = 0;
  #outputBytes = 0;
  #recordChars = 0;
  /** The fewest bytes that found no room in all outboxes together; `null` when none wait for it. */
  #refusedBytes: number | null = null;

  constructor(options: ServerOptions) {
    const { services, codecSettings, limits, diagnostics } = options;
    this.#limits = limits;
    this.#open = options.openConnections ?? new ConnectionCount();
    this.#context = {
      services,
      codecSettings,
      diagnostics,
      shared: new SharedEncodings(),
      turns: new Turns(),
      limits: () => this.#limits,
      holdOutput: (bytes) => this.#holdOutput(bytes),
      mayHoldOutput: (bytes) => this.#mayHoldOutput(bytes),
      holdInput: (bytes) => {
        this.#inputBytes += bytes;
        if (this.#inputBytes > INPUT_TOTAL_BYTES) this.#endLargestHolder();
      },
      holdRecords: (chars) => (this.#recordChars += chars) > RECORDS_TOTAL_CHARS,
      outboxShare: () => this.#outboxShare(),
      trusted: () => this.#limits.trustSocket ? TRUSTED : null,
      asRefusal: (error) => asRefusal(error, services, diagnostics),
    };
    services.log.onAppended = () => this.#pump();
    services.refusals.onTold = ({ outcome, transport, count = 1 }) => {
      if (outcome !== "auth_failed") return;
      diagnostics.warn("a token was not valid", { transport, count });
    };
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  presence(): Presence[] {
    return [...this.#connections].map(({ presence }) => presence);
  }

  /** Takes new limits; they hold for what comes from now on. */
  setLimits(limits: ServerLimits): void {
    this.#limits = limits;
  }

  /** Notes that whoever subscribes is there, so that no consumer in use counts as idle. */
  touch(): void {
    for (const connection of this.#connections) connection.touch();
  }

  /** Ends the connections of principals that are no longer valid; what one of them just asked is still answered. */
  endRevoked(isValid: (principal: Principal) => boolean): void {
    for (const connection of this.#connections) {
      if (connection.principal !== null && !isValid(connection.principal)) endSoon(connection);
    }
  }

  /** Accepts connections from a listener until it is closed. */
  serve(listener: Deno.Listener): void {
    this.#listeners.push(listener);
    this.#accepting.push(this.#accept(listener));
  }

  /** Serves HTTP on a Unix socket. Resolves when it listens. */
  async serveHttp(path: string, options: HttpServing): Promise<void> {
    this.#http = new HttpServer({
      ...options,
      context: this.#context,
      connections: () => this.#connections,
      full: () => this.#full(),
      admit: (served) => this.#admit(served),
      leave: (served) => this.#leave(served),
    });
    await this.#http.listen(path);
  }

  /** Stops accepting, answers what is in progress for at most `graceMs`, and closes every connection. */
  async close(graceMs: number): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    this.#listeners = [];
    await Promise.all(this.#accepting);
    const answered = this.#http?.stop();
    const stopped = Promise.all([
      answered,
      ...[...this.#connections].map((connection) => connection.stop()),
    ]);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const grace = new Promise<void>((resolve) => timer = setTimeout(resolve, graceMs));
    await Promise.race([stopped, grace]);
    clearTimeout(timer);
    for (const connection of this.#connections) connection.close();
    this.#context.services.refusals.tellCounted();
  }

  /** Not whoever asks for a little more just now, but whoever has taken most. */
  #endLargestHolder(): void {
    const weight = ({ principal, heldInput }: Served) =>
      principal === null ? heldInput + INPUT_TOTAL_BYTES : heldInput;
    let largest: Served | null = null;
    for (const connection of this.#connections) {
      if (connection.heldInput <= INPUT_SMALL_BYTES) continue;
      if (largest === null || weight(connection) > weight(largest)) largest = connection;
    }
    largest?.refuseToHold();
  }

  /** Fair while there is room for all; next to nothing once all of them together hold too much. */
  #outboxShare(): number {
    if (this.#outputBytes >= OUTBOX_TOTAL_BYTES) return OUTBOX_LEAST_BYTES;
    const fair = OUTBOX_TOTAL_BYTES / Math.max(1, this.#connections.size);
    return Math.min(this.#limits.outboxBytes, fair);
  }

  #pump(): void {
    for (const connection of this.#connections) connection.pump();
  }

  #mayHoldOutput(bytes: number): boolean {
    if (this.#outputBytes + bytes <= OUTBOX_TOTAL_BYTES) return true;
    this.#refusedBytes = Math.min(bytes, this.#refusedBytes ?? bytes);
    return false;
  }

  #holdOutput(bytes: number): void {
    this.#outputBytes += bytes;
    if (bytes >= 0 || this.#refusedBytes === null) return;
    if (this.#outputBytes + this.#refusedBytes > OUTBOX_TOTAL_BYTES) return;
    this.#refusedBytes = null;
    queueMicrotask(() => this.#pump());
  }

  async #accept(listener: Deno.Listener): Promise<void> {
    const failure = new RepeatedFailure({
      diagnostics: this.#context.diagnostics,
      over: "connections are accepted again",
      quietMs: ACCEPTED_MS,
    });
    for (;;) {
      try {
        this.#welcome(await listener.accept());
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
          return failure.close();
        }
        // Out of file descriptors, most likely: those who are connected go on, and so does this loop.
        failure.note("cannot accept a connection", error);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  #welcome(conn: Deno.Conn): void {
    const refusal = this.#full();
    if (refusal !== null) return this.#turnAway(conn, refusal);
    const connection = new Connection(conn, this.#context);
    this.#enter(connection);
    connection.serve().finally(() => this.#leave(connection));
  }

  /** @throws PosternError `too_many` */
  #admit(served: Served): void {
    const refusal = this.#full();
    if (refusal !== null) throw refusal;
    this.#enter(served);
  }

  #enter(served: Served): void {
    this.#connections.add(served);
    this.#open.enter();
  }

  #leave(served: Served): void {
    if (this.#connections.delete(served)) this.#open.leave();
  }

  #full(): PosternError | null {
    const { maxConnections } = this.#limits;
    if (this.#open.open < maxConnections) return null;
    return new PosternError(
      "too_many",
      `the daemon serves at most ${maxConnections} connections at once`,
      { limit: maxConnections },
    );
  }

  #turnAway(conn: Deno.Conn, error: PosternError): void {
    const line = fallbackCodec(this.#context.codecSettings).encodeError(null, error) + "\n";
    conn.write(new TextEncoder().encode(line)).catch(() => {}).finally(() => conn.close());
  }
}

function endSoon(served: Served): void {
  const timer = setTimeout(() => served.close(), REVOKED_MS);
  served.stop().finally(() => clearTimeout(timer));
}

function asRefusal(error: unknown, services: Services, diagnostics: Log): PosternError {
  if (error instanceof PosternError) return error;
  const id = services.newId();
  diagnostics.error("an operation failed unexpectedly", { id, error });
  return new PosternError(
    "internal",
    `something unexpected went wrong; the log has it as ${id}`,
    { id },
  );
}
