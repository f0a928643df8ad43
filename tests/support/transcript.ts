/**
 * Conversations as the protocol pages print them, read and played against a fresh daemon.
 *
 * The lines of a fenced block are: `-> text` sent as it stands; `<- {...}` the next line received;
 * `-- remark`; and the stage directions `== daemon {config}` (first line only), `== connection NAME` (a new one, or
 * back to a known one; `== connection NAME DIALECT` where it is not the block's), `== nothing` (nothing was pushed),
 * `== closed` (the daemon ends the connection) and `== restart`. The first connection is there by itself.
 *
 * Placeholders in `->` lines are filled in: `<token>`, `<agent_id>`. In `<-` lines they match what they name;
 * two that have the same number (`<uuid:1>`) must be the same value, in `->` lines too. An object that ends in
 * `, ...}` may have more fields than are shown; otherwise the fields must be exactly these.
 */

import { assertEquals, fail } from "@std/assert";
import type { Line, RawClient } from "./raw_client.ts";
import type { PartialConfig, TestDaemon } from "./in_process.ts";
import { startTestDaemon } from "./in_process.ts";

/** One fenced block of a page. */
export interface Transcript {
  readonly name: string;
  readonly steps: readonly string[];
  /** How to see that nothing more was pushed. @default {"axon"} */
  readonly dialect?: Dialect;
}

/** The tags of blocks that are conversations. */
export const DIALECTS = ["axon", "json-rpc", "aimx"] as const;
export type Dialect = typeof DIALECTS[number];

const MORE = "<...>";
/** The id of a request that no page has. */
const BARRIER = 987_654_321;
const MATCHERS: Record<string, (value: unknown) => boolean> = {
  any: () => true,
  text: (value) => typeof value === "string" && value !== "",
  seq: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  n: (value) => typeof value === "number" && value >= 0,
  ms: (value) => Number.isSafeInteger(value) && (value as number) > 1_600_000_000_000,
  uuid: matching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
  agent_id: matching(/^ed25519\.[0-9a-f]{32}$/),
  public_key: matching(/^[A-Za-z0-9+/]{43}=$/),
  version: matching(/^\d+\.\d+\.\d+$/),
  server: matching(/^postern\/\d+\.\d+\.\d+$/),
  timestamp: matching(/^\d{10,}\.\d{9}$/),
  type_id: matching(/^0x[0-9a-f]{16}$/),
};

/** Every block of `page` that is tagged with a dialect, named after the heading it stands under. */
export function readTranscripts(page: string): Transcript[] {
  const found: Transcript[] = [];
  let heading = "";
  let steps: string[] | null = null;
  let dialect: Dialect | undefined;
  for (const line of page.split("\n")) {
    if (steps === null && line.startsWith("#")) heading = line.replace(/^#+\s*/, "");
    else if (steps === null && line.startsWith("```")) {
      dialect = DIALECTS.find((tag) => line === `\`\`\`${tag}`);
      steps = [];
    } else if (steps !== null && line === "```" && dialect === undefined) steps = null;
    else if (steps !== null && line === "```") {
      const count = found.filter((other) => other.name.startsWith(`${heading} (`)).length;
      found.push({ name: `${heading} (${count + 1})`, steps, dialect });
      steps = null;
    } else if (line.trim() !== "") steps?.push(line);
  }
  if (steps !== null) throw new Error(`the block under "${heading}" has no end`);
  return found;
}

/** Plays one block against a daemon of its own. */
export async function playTranscript(transcript: Transcript): Promise<void> {
  const [first = "", ...others] = transcript.steps;
  const config = /^== daemon (\{.*\})$/.exec(first)?.[1];
  await using daemon = await startTestDaemon({
    config: config === undefined ? {} : JSON.parse(config) as PartialConfig,
  });
  const stage = new Stage(daemon, transcript.dialect ?? "axon");
  for (const step of config === undefined ? transcript.steps : others) {
    try {
      await stage.play(step);
    } catch (error) {
      throw new Error(`at "${step}": ${error instanceof Error ? error.message : error}`);
    }
  }
  await stage.expectQuiet();
}

/** The connections and values of one conversation. */
class Stage {
  readonly #daemon: TestDaemon;
  readonly #connections = new Map<string, RawClient>();
  readonly #dialects = new Map<string, Dialect>();
  readonly #known = new Map<string, unknown>();
  readonly #ended = new Set<RawClient>();
  readonly #dialect: Dialect;
  #name = "1";

  constructor(daemon: TestDaemon, dialect: Dialect) {
    this.#daemon = daemon;
    this.#dialect = dialect;
  }

  async play(step: string): Promise<void> {
    if (step.startsWith("-> ")) {
      await (await this.#client()).write(this.#filled(step.slice(3)) + "\n");
    } else if (step.startsWith("<- ")) {
      this.#match(step.slice(3), await (await this.#client()).next());
    } else if (step.startsWith("== ")) await this.#direct(step.slice(3));
    else if (!step.startsWith("-- ")) fail(`a line must open with "->", "<-", "==" or "--"`);
  }

  /** Shows that every open connection has received no more than what the page printed. */
  async expectQuiet(): Promise<void> {
    for (const [name, client] of this.#connections) {
      if (!this.#ended.has(client)) await this.#expectNothing(client, name);
    }
  }

  async #direct(direction: string): Promise<void> {
    const [word = "", name = "", dialect] = direction.split(" ");
    if (word === "connection") {
      this.#name = name;
      if (dialect !== undefined) this.#dialects.set(name, dialect as Dialect);
    } else if (word === "nothing") await this.#expectNothing(await this.#client(), this.#name);
    else if (word === "closed") await this.#expectClosed();
    else if (word === "restart") {
      await this.#daemon.restart();
      this.#connections.clear();
    } else fail(`unknown stage direction "${word}"`);
  }

  async #expectNothing(client: RawClient, name: string): Promise<void> {
    const dialect = this.#dialects.get(name) ?? this.#dialect;
    if (dialect === "axon") return await client.expectNothingPushed();
    const barrier = dialect === "aimx" ? { id: BARRIER } : { jsonrpc: "2.0", id: BARRIER };
    await client.send({ ...barrier, method: "system.ping" });
    assertEquals((await client.next()).id, BARRIER, "nothing should have been pushed");
  }

  async #expectClosed(): Promise<void> {
    const client = await this.#client();
    assertEquals(await client.untilClosed(), []);
    this.#ended.add(client);
  }

  async #client(): Promise<RawClient> {
    let client = this.#connections.get(this.#name);
    if (client === undefined) {
      client = await this.#daemon.connect();
      this.#connections.set(this.#name, client);
    }
    return client;
  }

  #filled(text: string): string {
    return text.replaceAll("<token>", this.#daemon.token)
      .replaceAll("<agent_id>", this.#daemon.agentId)
      .replaceAll(/<\w+:\w+>/g, (name) => String(this.#known.get(name) ?? name));
  }

  #match(pattern: string, line: Line): void {
    const quoted = pattern.replaceAll(/, \.\.\.\}/g, `,"${MORE}":0}`)
      .replaceAll(/([:,[]\s*)(<[\w:]+>)/g, '$1"$2"');
    try {
      this.#expect(JSON.parse(quoted), line);
    } catch (error) {
      throw new Error(
        `${error instanceof Error ? error.message : error}\n  got ${JSON.stringify(line)}`,
      );
    }
  }

  #expect(pattern: unknown, value: unknown): void {
    const placeholder = typeof pattern === "string" ? /^<(\w+)(:\w+)?>$/.exec(pattern) : null;
    if (placeholder !== null) this.#expectPlaceholder(placeholder, value);
    else if (Array.isArray(pattern) && Array.isArray(value)) {
      assertEquals(value.length, pattern.length, "another number of elements");
      pattern.forEach((part, i) => this.#expect(part, value[i]));
    } else if (isObject(pattern) && isObject(value)) this.#expectFields(pattern, value);
    else assertEquals(value, pattern);
  }

  #expectFields(pattern: Line, value: Line): void {
    const shown = Object.keys(pattern).filter((key) => key !== MORE);
    if (!(MORE in pattern)) assertEquals(Object.keys(value).sort(), [...shown].sort());
    for (const key of shown) this.#expect(pattern[key], value[key]);
  }

  #expectPlaceholder([name, kind = "", number]: RegExpExecArray, value: unknown): void {
    const matches = MATCHERS[kind] ?? fail(`unknown placeholder ${name}`);
    if (!matches(value)) fail(`${JSON.stringify(value)} is not ${name}`);
    if (kind === "agent_id") assertEquals(value, this.#daemon.agentId);
    if (number === undefined) return;
    if (this.#known.has(name)) assertEquals(value, this.#known.get(name));
    this.#known.set(name, value);
  }
}

function matching(pattern: RegExp): (value: unknown) => boolean {
  return (value) => typeof value === "string" && pattern.test(value);
}

function isObject(value: unknown): value is Line {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
