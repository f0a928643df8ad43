/** `postern with-lease`: a program that runs while a lease is held, and not without it. */

import { PosternError, shown } from "../../client/errors.ts";
import type { Client } from "../../client/mod.ts";
import { waitFor } from "../../client/reconnect.ts";
import { type Command, type Context, IDENTITY_OPTION } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { ENDING_SIGNALS, type Interrupt, onSignals, SIGNAL_EXITS } from "../interrupt.ts";
import { HeldLease, isHeldByOther, type LeaseWish } from "../lease_holder.ts";
import { printable } from "../output.ts";
import { findProgram, isThere, noProgram } from "../runner/program.ts";
import { withIdentity } from "../session.ts";

const MAX_TTL_SECS = 86_400;
/** What a timer can hold. */
const MAX_WAIT_SECS = 24 * 86_400;
/** Between SIGTERM and SIGKILL for a program that goes on without its lease. */
const GRACE_MS = 5000;

export const command: Command = {
  name: "with-lease",
  usage: ["<name> [--ttl TIME] [--wait [--timeout TIME]] -- <program> [argument...]"],
  summary: "Run a program while holding a lease.",
  details: [
    "It ends as the program ends, and with 75 when somebody else holds the lease; --wait waits",
    "until it is free. When the lease is lost the program gets SIGTERM, 5 seconds later SIGKILL,",
    "and it ends with 76. 127 and 126: there is no such program, or it cannot be run. The program",
    "finds the fence in POSTERN_LEASE_FENCE.",
  ],
  options: [
    { name: "ttl", value: "TIME", help: "held so long without a renewal: 30s, 5m (60s)" },
    { name: "wait", help: "wait until it is free" },
    { name: "timeout", value: "TIME", help: "with --wait: at most so long" },
    IDENTITY_OPTION,
  ],
  examples: [
    "with-lease build -- make -j4",
    "with-lease deploy.eu --wait --timeout 10m -- ./deploy",
  ],
  arguments: [2, Infinity],
  runsProgram: true,
  async run(context) {
    const { args: [name = "", ...words], values } = context;
    const timeout = values.seconds("timeout");
    if (timeout !== undefined && !values.flag("wait")) {
      throw new UsageError("--timeout goes with --wait");
    }
    const ttlSecs = values.seconds("ttl") ?? 60;
    if (ttlSecs > MAX_TTL_SECS) throw new UsageError("--ttl is a day at most");
    if (timeout !== undefined && timeout > MAX_WAIT_SECS) {
      throw new UsageError("--timeout is 24 days at most; without it there is no limit");
    }
    const waitMs = timeout === undefined ? null : 1000 * timeout;
    return await withIdentity(context, {}, (client) => {
      return new Guarded(context, client).run({ name, ttlSecs }, { waitMs, words });
    });
  },
};

/** One program and its lease. */
class Guarded {
  readonly #context: Context;
  readonly #client: Client;
  readonly #interrupted = new AbortController();
  #signal: Interrupt | null = null;
  #child: Deno.ChildProcess | null = null;

  constructor(context: Context, client: Client) {
    this.#context = context;
    this.#client = client;
  }

  async run(
    wish: LeaseWish,
    { waitMs, words }: { readonly waitMs: number | null; readonly words: readonly string[] },
  ): Promise<number> {
    return await onSignals(
      ENDING_SIGNALS,
      (signal) => this.#pass(signal),
      async () => {
        const [word = "", ...args] = words;
        const program = findProgram(word, Deno.env.get("PATH") ?? "", Deno.cwd());
        if (program === null) return await this.#noProgram(word);
        const lease = await this.#acquire(wish, waitMs);
        if (typeof lease === "number") return lease;
        try {
          return await this.#hold(lease, { program, args });
        } finally {
          await lease.release();
        }
      },
    );
  }

  async #noProgram(word: string): Promise<number> {
    const isFound = isThere(word, Deno.env.get("PATH") ?? "", Deno.cwd());
    if (!isFound) return await this.#end(EXIT.notFound, noProgram(word));
    return await this.#end(EXIT.notRunnable, `${shown(word)} is there, and cannot be run`);
  }

  /** What comes before the program runs ends the waiting; a terminal tells Ctrl-C to its whole foreground. */
  #pass(signal: Interrupt): void {
    this.#signal ??= signal;
    this.#interrupted.abort();
    if (signal === "SIGINT" && isInForeground()) return;
    kill(this.#child, signal);
  }

  /** @returns the lease, or the exit code where there is none */
  async #acquire(wish: LeaseWish, waitMs: number | null): Promise<HeldLease | number> {
    const isWaiting = this.#context.values.flag("wait");
    let last: PosternError | null = null;
    const timer = new AbortController();
    const timeout = waitMs === null ? undefined : setTimeout(() => timer.abort(), waitMs);
    try {
      if (!isWaiting) return await HeldLease.acquire(this.#client, wish);
      return await HeldLease.acquireWhenFree(this.#client, wish, {
        signal: AbortSignal.any([this.#interrupted.signal, timer.signal]),
        onHeld: async (error) => {
          if (last?.message !== error.message) await this.#tellWaiting(wish, error);
          last = error;
        },
      });
    } catch (error) {
      if (this.#signal !== null) return SIGNAL_EXITS[this.#signal];
      if (isHeldByOther(error)) return await this.#end(EXIT.leaseHeld, error.message, error.code);
      if (!timer.signal.aborted) throw error;
      const held = last as PosternError | null;
      const why = held?.message ?? `lease.acquire: no answer about ${wish.name}`;
      return await this.#end(EXIT.leaseHeld, `${why}; waited long enough`, "conflict");
    } finally {
      clearTimeout(timeout);
    }
  }

  async #tellWaiting({ name }: LeaseWish, { message, details }: PosternError): Promise<void> {
    const { out } = this.#context;
    await out.note(
      out.json
        ? JSON.stringify({ waiting: { name, ...details } })
        : `-- waiting: ${printable(message)}`,
    );
  }

  async #hold(
    lease: HeldLease,
    { program, args }: { readonly program: string; readonly args: readonly string[] },
  ): Promise<number> {
    if (this.#signal !== null) return SIGNAL_EXITS[this.#signal];
    let child: Deno.ChildProcess;
    try {
      const env = { POSTERN_LEASE_FENCE: String(lease.fence) };
      child = new Deno.Command(program, {
        args: [...args],
        env,
        stdin: "inherit",
        stdout: "inherit",
        stderr: "inherit",
      }).spawn();
    } catch (error) {
      return await this.#end(EXIT.notRunnable, (error as Error).message);
    }
    this.#child = child;
    const ended = child.status.then(({ code }) => code);
    const outcome = await Promise.race([ended, lease.keep()]);
    if (typeof outcome === "number") return outcome;
    await this.#end(
      EXIT.leaseLost,
      `the lease is lost: ${outcome}; the program is ended`,
      "conflict",
    );
    await endChild(child);
    return EXIT.leaseLost;
  }

  async #end(exitCode: number, message: string, code = "failed"): Promise<number> {
    const { out } = this.#context;
    await out.note(
      out.json ? JSON.stringify({ error: { code, message } }) : `postern: ${printable(message)}`,
    );
    return exitCode;
  }
}

async function endChild(child: Deno.ChildProcess): Promise<void> {
  const gone = new AbortController();
  const ended = child.status.then(() => gone.abort());
  kill(child, "SIGTERM");
  await waitFor(GRACE_MS, gone.signal);
  kill(child, "SIGKILL");
  await ended;
}

function kill(child: Deno.ChildProcess | null, signal: Deno.Signal): void {
  try {
    child?.kill(signal);
  } catch {
    // It has ended.
  }
}

/** Whether Ctrl-C reaches the program without us: it is in our process group, and so in the terminal's foreground. */
function isInForeground(): boolean {
  try {
    const stat = Deno.readTextFileSync("/proc/self/stat");
    // Behind the program's name, which may hold anything: state, parent, group, session, terminal, its foreground.
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return group === foreground;
  } catch {
    // Only Linux tells.
    return Deno.stdin.isTerminal() || Deno.stdout.isTerminal() || Deno.stderr.isTerminal();
  }
}
