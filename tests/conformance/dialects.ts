/**
 * One speaker per dialect, so that a scenario is written once and played in each.
 *
 * A speaker knows how its dialect says a call, an answer and an event, and what it calls our errors; it knows no
 * scenario. What it expects stands here by itself, not taken from the codecs that are tested.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { ErrorCode } from "../../src/core/errors.ts";
import { AIMX_WORDS } from "../support/aimx_client.ts";
import type { Line, RawClient } from "../support/raw_client.ts";
import type { TestDaemon } from "../support/in_process.ts";
import { HTTP_CONNECTIONS, type Lines } from "./http_dialects.ts";

/** What became of a call. */
export type Outcome =
  | { readonly ok: true; readonly result: Line }
  | { readonly ok: false; readonly error: string; readonly message: string };

/** A pushed event of the log. */
export interface Told {
  readonly seq: number;
  readonly replay: boolean;
  readonly envelope: Line;
  readonly gap?: { readonly from_seq: number; readonly to_seq: number };
}

/** A pushed update of a record. */
export interface Update {
  readonly subscription_id: string;
  readonly name: string;
  readonly sequence: number;
  readonly data: unknown;
  readonly timestamp: string;
  readonly dropped?: number;
}

/** One connection in one dialect. */
export interface Speaker {
  readonly dialect: string;
  /** The next line as it was written, whatever it is. */
  text(): Promise<string>;
  /** Asks for an operation and waits for the answer; events that come before it are kept. */
  call(operation: string, params?: Line): Promise<Outcome>;
  /** Asks for many at once, in one write. */
  callAll(calls: readonly (readonly [string, Line])[]): Promise<Outcome[]>;
  /** The next event of the log. */
  event(): Promise<Told>;
  /** The next update of a record. */
  update(): Promise<Update>;
  /** The updates that were told until now and that nobody asked for yet. */
  updatesSoFar(): Promise<Update[]>;
  /** What the dialect says for an error of ours. */
  word(code: ErrorCode): string;
  /** Events that were kept and not asked for. */
  readonly keptEvents: number;
}

abstract class Base implements Speaker {
  abstract readonly dialect: string;
  readonly client: Lines;
  readonly #events: Line[] = [];
  #lastId = 0;

  constructor(client: Lines) {
    this.client = client;
  }

  get keptEvents(): number {
    return this.#events.length;
  }

  text(): Promise<string> {
    return this.client.text();
  }

  async call(operation: string, params: Line = {}): Promise<Outcome> {
    const [outcome] = await this.callAll([[operation, params]]);
    return outcome!;
  }

  async callAll(calls: readonly (readonly [string, Line])[]): Promise<Outcome[]> {
    const ids = calls.map(() => this.idOfNumber(++this.#lastId));
    await this.client.send(
      ...calls.map(([name, params], i) => this.request(ids[i]!, name, params)),
    );
    const outcomes: Outcome[] = [];
    for (const id of ids) outcomes.push(await this.#answerTo(id));
    return outcomes;
  }

  async event(): Promise<Told> {
    return this.toldBy(await this.#pushed());
  }

  async update(): Promise<Update> {
    return expectUpdate(this.updateBy(await this.#pushed()));
  }

  async updatesSoFar(): Promise<Update[]> {
    await this.call("system.ping");
    return this.#events.splice(0).map((line) => expectUpdate(this.updateBy(line)));
  }

  async #pushed(): Promise<Line> {
    const line = this.#events.shift() ?? await this.client.next();
    assert(this.isEvent(line), `an event was awaited, got ${JSON.stringify(line)}`);
    return line;
  }

  async #answerTo(id: string | number): Promise<Outcome> {
    for (;;) {
      const line = await this.client.next();
      if (this.isEvent(line)) this.#events.push(line);
      else {
        assert(
          this.idOf(line) === id,
          `the answer to ${id} was awaited, got ${JSON.stringify(line)}`,
        );
        return this.outcomeOf(line);
      }
    }
  }

  /** What a request is called that is the connection's n-th. */
  protected idOfNumber(n: number): string | number {
    return `c${n}`;
  }

  abstract word(code: ErrorCode): string;
  protected abstract request(id: string | number, operation: string, params: Line): Line;
  /** Whether a line was pushed, of whichever sort. */
  protected abstract isEvent(line: Line): boolean;
  protected abstract toldBy(line: Line): Told;
  /** What the line tells of a record; it must be an update's. */
  protected abstract updateBy(line: Line): Line;
  protected abstract idOf(line: Line): unknown;
  protected abstract outcomeOf(line: Line): Outcome;
}

/** AXON, version 2. */
class Axon extends Base {
  readonly dialect = "AXON";

  word(code: ErrorCode): string {
    const invalid = [
      "parse_error",
      "invalid_request",
      "unknown_operation",
      "invalid_params",
      "too_large",
    ];
    if (invalid.includes(code)) return "invalid_command";
    return code === "internal" ? "internal_error" : code;
  }

  protected request(id: string | number, operation: string, params: Line): Line {
    return { ...params, cmd: operation, req_id: id };
  }

  protected isEvent(line: Line): boolean {
    return "event" in line;
  }

  protected toldBy({ event, seq, replay, envelope, gap }: Line): Told {
    assertEquals(event, "inbound");
    return { seq, replay, envelope, gap };
  }

  protected updateBy({ event, ...update }: Line): Line {
    assertEquals(event, "record");
    return update;
  }

  protected idOf(line: Line): unknown {
    return line.req_id;
  }

  protected outcomeOf({ ok, req_id: _id, error, message, ...result }: Line): Outcome {
    if (!ok) return { ok: false, error, message };
    return { ok, result: "result" in result ? result.result : result };
  }
}

/** JSON-RPC 2.0. */
class JsonRpc extends Base {
  readonly dialect: string = "JSON-RPC";

  word(code: ErrorCode): string {
    return `${this.number(code)} ${code}`;
  }

  protected number(code: ErrorCode): number {
    const numbers: Partial<Record<ErrorCode, number>> = {
      parse_error: -32700,
      invalid_request: -32600,
      too_large: -32600,
      unknown_operation: -32601,
      invalid_params: -32602,
      internal: -32603,
      not_originator: -32001,
      timeout: -32002,
    };
    return numbers[code] ?? -32000;
  }

  protected request(id: string | number, method: string, params: Line): Line {
    return { jsonrpc: "2.0", id, method, params };
  }

  protected isEvent(line: Line): boolean {
    return "method" in line;
  }

  protected toldBy({ method, params: { seq, replay, envelope, gap } }: Line): Told {
    assertEquals(method, "event");
    return { seq, replay, envelope, gap };
  }

  protected updateBy({ method, params }: Line): Line {
    assertEquals(method, "record.event");
    return params;
  }

  protected idOf(line: Line): unknown {
    return line.id;
  }

  protected outcomeOf({ result, error }: Line): Outcome {
    if (error === undefined) return { ok: true, result };
    return { ok: false, error: `${error.code} ${error.data.code}`, message: error.message };
  }
}

/** The AI Assist form. */
class AiAssist extends JsonRpc {
  override readonly dialect = "AI Assist";

  protected override request(id: string | number, method: string, params: Line): Line {
    return { id, method, params };
  }

  protected override isEvent(line: Line): boolean {
    return "channel" in line;
  }

  protected override toldBy({ channel, data: { seq, replay, envelope, gap } }: Line): Told {
    assertEquals(channel, envelope.topic ?? `event.${envelope.kind}`);
    return { seq, replay, envelope, gap };
  }

  protected override updateBy({ channel, data }: Line): Line {
    assertEquals(channel, `record.${data.name}`);
    return data;
  }

  protected override outcomeOf(line: Line): Outcome {
    assert(!("jsonrpc" in line), "replies of this form come without jsonrpc");
    return super.outcomeOf(line);
  }
}

/** AimX, which has integers for ids and fewer words for errors. */
class Aimx extends Base {
  readonly dialect = "AimX";

  word(code: ErrorCode): string {
    return `${AIMX_WORDS[code]} ${code}`;
  }

  protected override idOfNumber(n: number): number {
    return n;
  }

  protected request(id: string | number, method: string, params: Line): Line {
    return { id, method, params };
  }

  protected isEvent(line: Line): boolean {
    return "event" in line;
  }

  protected toldBy({ event: { seq, replay, envelope, gap } }: Line): Told {
    return { seq, replay, envelope, gap };
  }

  protected updateBy({ event }: Line): Line {
    return event;
  }

  protected idOf(line: Line): unknown {
    return line.id;
  }

  protected outcomeOf({ result, error }: Line): Outcome {
    if (error === undefined) return { ok: true, result };
    return { ok: false, error: `${error.code} ${error.details.code}`, message: error.message };
  }
}

/** What an update has in every dialect, no field more and none less. */
function expectUpdate(line: Line): Update {
  const { dropped, ...fields } = line;
  assertEquals(
    Object.keys(fields).sort(),
    ["data", "name", "sequence", "subscription_id", "timestamp"],
    JSON.stringify(line),
  );
  assertMatch(line.timestamp, /^\d{10,}\.\d{9}$/);
  assert(dropped === undefined || dropped > 0, "dropped is there when it is more than none");
  return line as Update;
}

/** The dialects there are. */
export type Dialect = "AXON" | "JSON-RPC" | "AI Assist" | "AimX";

/** Opens a connection in each dialect, greeted where that is asked; with a token as the dialect shows one. */
export const SPEAKERS: readonly {
  readonly dialect: Dialect;
  readonly open: (client: RawClient, token?: string) => Promise<Speaker>;
}[] = [
  {
    dialect: "AXON",
    async open(client, token) {
      await client.hello();
      return await loggedIn(new Axon(client), token);
    },
  },
  { dialect: "JSON-RPC", open: (client, token) => loggedIn(new JsonRpc(client), token) },
  { dialect: "AI Assist", open: (client, token) => loggedIn(new AiAssist(client), token) },
  {
    dialect: "AimX",
    async open(client, token) {
      const auth = token === undefined ? {} : { auth_token: token };
      const { welcome } = await client.askBare({ hello: { version: "1.0", ...auth } });
      assertEquals(welcome?.authenticated, token !== undefined);
      return new Aimx(client);
    },
  },
];

async function loggedIn(speaker: Speaker, token: string | undefined): Promise<Speaker> {
  if (token === undefined) return speaker;
  const outcome = await speaker.call("auth.login", { token });
  assert(outcome.ok, JSON.stringify(outcome));
  return speaker;
}
/** The same over the HTTP socket. */
export const HTTP_SPEAKERS: readonly {
  readonly dialect: "HTTP" | "WebSocket";
  readonly open: (daemon: TestDaemon, token: string | undefined) => Promise<Speaker>;
}[] = (["HTTP", "WebSocket"] as const).map((dialect) => ({
  dialect,
  open: async (daemon, token) =>
    loggedIn(new JsonRpc(await HTTP_CONNECTIONS[dialect](daemon)), token),
}));
