/**
 * A daemon in the test's own process, on a real Unix socket and a real store, in a directory of its own.
 *
 * The directory is private (0700) and removed at the end, with every connection made through the handle.
 * `restart` keeps the directory: what the daemon said it had kept must be there again.
 */

import { startDaemon } from "../../src/daemon/daemon.ts";
import type { Daemon } from "../../src/daemon/daemon.ts";
import { parseConfig } from "../../src/daemon/config.ts";
import { SUBDIRECTORIES } from "../../src/daemon/runtime_directory.ts";
import type { Config } from "../../src/daemon/config.ts";
import { join } from "@std/path/posix";
import { HttpClient } from "./http_client.ts";
import { RawClient } from "./raw_client.ts";
import type { Line } from "./raw_client.ts";

/** Any part of the configuration; what is left out has its default. */
export type PartialConfig = {
  [Section in keyof Config]?: Config[Section] extends Record<string, unknown>
    ? { [Key in keyof Config[Section]]?: unknown }
    : Config[Section];
};

/** What the daemon wrote to its log. */
export interface Logged {
  level: "debug" | "info" | "warn" | "error";
  message: string;
  fields: Record<string, unknown> | undefined;
}

/** How many sends are outstanding while a log is filled. */
const FILL_BATCH = 100;

interface Options {
  config?: PartialConfig;
  /** A directory to start in, which the caller removes; without it a fresh one is made and removed. */
  directory?: string;
}

/** A running daemon and the means to talk to it. */
export class TestDaemon implements AsyncDisposable {
  readonly directory: string;
  readonly logged: Logged[] = [];
  readonly #removes: boolean;
  readonly #clients: RawClient[] = [];
  readonly #httpClients: HttpClient[] = [];
  #config: PartialConfig;
  #daemon: Daemon | null = null;

  constructor(directory: string, config: PartialConfig, removes: boolean) {
    this.directory = directory;
    this.#config = config;
    this.#removes = removes;
  }

  get agentId(): string {
    return this.#running.agentId;
  }

  get epoch(): string {
    return this.#running.epoch;
  }

  get token(): string {
    return this.#running.token;
  }

  get socketPath(): string {
    return this.#running.socketPath;
  }

  get httpSocketPath(): string {
    return this.#running.httpSocketPath;
  }

  /** Resolves with the reason when the daemon has ended. */
  get closed(): Promise<string> {
    return this.#running.closed;
  }

  get tokenPath(): string {
    return join(this.directory, "ipc-token");
  }

  /** Starts the daemon, if need be with another configuration. */
  async start(config: PartialConfig = this.#config): Promise<void> {
    this.#config = config;
    this.#daemon = await startDaemon({
      directory: this.directory,
      config: parseConfig(JSON.stringify(config), "the test"),
      host: { pid: Deno.pid, hostname: "test", uid: Deno.uid() },
      log: this.#log(),
    });
  }

  /** Stops the daemon in order. */
  async stop(): Promise<void> {
    const daemon = this.#running;
    this.#daemon = null;
    await daemon.close();
  }

  /** Stops and starts in the same directory. */
  async restart(config: PartialConfig = this.#config): Promise<void> {
    await this.stop();
    await this.start(config);
  }

  /** What SIGHUP does. */
  async reload(config: PartialConfig = this.#config): Promise<string[]> {
    this.#config = config;
    return await this.#running.reload(parseConfig(JSON.stringify(config), "the test"));
  }

  /** A connection that has said nothing. */
  async connect(): Promise<RawClient> {
    const client = await RawClient.connect(this.socketPath);
    this.#clients.push(client);
    return client;
  }

  /** A connection in version 2 that has shown the token. */
  async v2(consumer?: string): Promise<RawClient> {
    const client = await this.connect();
    await client.hello(consumer);
    await client.ask({ cmd: "auth", token: this.token });
    return client;
  }

  /** A connection that the daemon knows as v1, because it has asked for `status`. */
  async v1(): Promise<RawClient> {
    const client = await this.connect();
    await client.askBare({ cmd: "status" });
    return client;
  }

  /** A client of the HTTP socket that shows the owner token, unless it is given another or none. */
  http(token: string | null = this.token): HttpClient {
    const client = new HttpClient(this.httpSocketPath, token);
    this.#httpClients.push(client);
    return client;
  }

  /** Lines of the audit so far. */
  audit(): Line[] {
    const text = Deno.readTextFileSync(join(this.directory, "log", "audit.jsonl"));
    return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  }

  /** Puts events with payloads 1 to `count` in the log, and returns their seqs. */
  async fill(count: number, event: Record<string, unknown> = {}): Promise<number[]> {
    using client = await this.v2("filler");
    const seqs: number[] = [];
    for (let done = 0; done < count; done += FILL_BATCH) {
      const batch = Array.from({ length: Math.min(FILL_BATCH, count - done) }, (_, i) => (
        { cmd: "send", req_id: "fill", to: "self", kind: "notify", payload: done + i + 1, ...event }
      ));
      await client.send(...batch);
      for (const _ of batch) seqs.push(seqOf(await client.reply()));
    }
    return seqs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const client of this.#httpClients) client[Symbol.dispose]();
    await this.#daemon?.close();
    if (this.#removes) await Deno.remove(this.directory, { recursive: true });
  }

  get #running(): Daemon {
    if (this.#daemon === null) throw new Error("the test daemon is not running");
    return this.#daemon;
  }

  #log() {
    const at = (level: Logged["level"]) => (message: string, fields?: Record<string, unknown>) => {
      this.logged.push({ level, message, fields });
    };
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }
}

/** Makes a private directory for a daemon; the caller removes it. */
export async function makeRuntimeDirectory(): Promise<string> {
  const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "postern_" }));
  await Deno.chmod(directory, 0o700);
  for (const name of SUBDIRECTORIES) await Deno.mkdir(join(directory, name), { mode: 0o700 });
  return directory;
}

/**
 * Starts a daemon for a test; `await using` ends it and takes its files away.
 *
 * @param options The configuration, and a directory of the test's own if it needs one.
 */
export async function startTestDaemon(options: Options = {}): Promise<TestDaemon> {
  const directory = options.directory ?? await makeRuntimeDirectory();
  const removes = options.directory === undefined;
  const daemon = new TestDaemon(directory, options.config ?? {}, removes);
  try {
    await daemon.start();
  } catch (error) {
    await daemon[Symbol.asyncDispose]();
    throw error;
  }
  return daemon;
}

function seqOf(sent: Line): number {
  if (typeof sent.seq !== "number") throw new Error(`filling the log: ${JSON.stringify(sent)}`);
  return sent.seq;
}
