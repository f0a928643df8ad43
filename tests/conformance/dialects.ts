/**
 * One speaker per dialect, so that a scenario is written once and played in each.
 *
 * A speaker knows how its dialect says a call, an answer and an event, and what it calls our errors; it knows no
 * scenario. What it expects stands here by itself, not taken from the codecs that are tested.
 */

import { assert } from "@std/assert";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { Line, RawClient } from "../support/raw_client.ts";
import type { TestDaemon } from "../support/in_process.ts";
import { HTTP_CONNECTIONS, type Lines } from "./http_dialects.ts";

/** What became of a call. */
export type Outcome =
  | { readonly ok: true; readonly result: Line }
  | { readonly ok: false; readonly error: string; readonly message: string };

/** A pushed event. */
export interface Told {
  readonly seq: number;
  readonly replay: boolean;
  readonly envelope: Line;
  readonly gap?: { readonly from_seq: number; readonly to_seq: number };
}

/** One connection in one dialect. */
export interface Speaker {
  readonly dialect: string;
  /** Asks for an operation and waits for the answer; events that come before it are kept. */
  call(operation: string, params?: Line): Promise<Outcome>;
  /** Asks for many at once, in one write. */
  callAll(calls: readonly (readonly [string, Line])[]): Promise<Outcome[]>;
  /** The next event. */
  event(): Promise<Told>;
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

  async call(operation: string, params: Line = {}): Promise<Outcome> {
    const [outcome] = await this.callAll([[operation, params]]);
    return outcome!;
  }

  async callAll(calls: readonly (readonly [string, Line])[]): Promise<Outcome[]> {
    const ids = calls.map(() => `c${++this.#lastId}`);
    await this.client.send(
      ...calls.map(([name, params], i) => this.request(ids[i]!, name, params)),
    );
    const outcomes: Outcome[] = [];
    for (const id of ids) outcomes.push(await this.#answerTo(id));
    return outcomes;
  }

  async event(): Promise<Told> {
    const kept = this.#events.shift();
    if (kept !== undefined) return this.toldBy(kept);
    const line = await this.client.next();
    assert(this.isEvent(line), `an event was awaited, got ${JSON.stringify(line)}`);
    return this.toldBy(line);
  }

  async #answerTo(id: string): Promise<Outcome> {
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

  abstract word(code: ErrorCode): string;
  protected abstract request(id: string, operation: string, params: Line): Line;
  protected abstract isEvent(line: Line): boolean;
  protected abstract toldBy(line: Line): Told;
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

  protected request(id: string, operation: string, params: Line): Line {
    return { ...params, cmd: operation, req_id: id };
  }

  protected isEvent(line: Line): boolean {
    return line.event === "inbound";
  }

  protected toldBy({ seq, replay, envelope, gap }: Line): Told {
    return { seq, replay, envelope, gap };
  }

  protected idOf(line: Line): unknown {
    return line.req_id;
  }

  protected outcomeOf({ ok, req_id: _id, error, message, ...result }: Line): Outcome {
    return ok ? { ok, result } : { ok: false, error, message };
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

  protected request(id: string, method: string, params: Line): Line {
    return { jsonrpc: "2.0", id, method, params };
  }

  protected isEvent(line: Line): boolean {
    return line.method === "event";
  }

  protected toldBy({ params: { seq, replay, envelope, gap } }: Line): Told {
    return { seq, replay, envelope, gap };
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

  protected override request(id: string, method: string, params: Line): Line {
    return { id, method, params };
  }

  protected override isEvent(line: Line): boolean {
    return "channel" in line;
  }

  protected override toldBy({ data: { seq, replay, envelope, gap } }: Line): Told {
    return { seq, replay, envelope, gap };
  }

  protected override outcomeOf(line: Line): Outcome {
    assert(!("jsonrpc" in line), "replies of this form come without jsonrpc");
    return super.outcomeOf(line);
  }
}

/** Opens a connection in each dialect: greeted, and with the token shown if one is given. */
export const SPEAKERS: readonly {
  readonly dialect: string;
  readonly open: (client: RawClient) => Promise<Speaker>;
}[] = [
  {
    dialect: "AXON",
    async open(client) {
      await client.hello();
      return new Axon(client);
    },
  },
  { dialect: "JSON-RPC", open: (client) => Promise.resolve(new JsonRpc(client)) },
  { dialect: "AI Assist", open: (client) => Promise.resolve(new AiAssist(client)) },
];

/** The same over the HTTP socket. */
export const HTTP_SPEAKERS: readonly {
  readonly dialect: string;
  readonly open: (daemon: TestDaemon) => Promise<Speaker>;
}[] = Object.entries(HTTP_CONNECTIONS).map(([dialect, connect]) => ({
  dialect,
  open: async (daemon) => new JsonRpc(await connect(daemon)),
}));
