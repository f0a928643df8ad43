/**
 * `postern ask`: asks for permission and waits for what becomes of it, which its exit code tells.
 *
 * Whatever ends it before the decision withdraws the request: its connection's end, or Ctrl-C. A restart of the
 * daemon does not: the request is there again, and is waited for again.
 */

import { ConnectionError, shown } from "../../client/errors.ts";
import type { Client } from "../../client/mod.ts";
import { type Command, type Context, IDENTITY_OPTION } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { timeOf } from "../format.ts";
import { readAllInput } from "../input.ts";
import { objectText, requireJson } from "../json_argument.ts";
import { ENDING_SIGNALS, type Interrupt, SIGNAL_EXITS } from "../interrupt.ts";
import { type Output, OutputClosed, printable } from "../output.ts";
import { withIdentity } from "../session.ts";
import { throughRestarts } from "../through_restarts.ts";
import type { Values } from "../values.ts";

/** How long a withdrawal may take, for a person waits for it. */
const WITHDRAW_MS = 2000;

type Asked = Awaited<ReturnType<typeof request>>;
type Decision = Awaited<ReturnType<typeof decisionOf>>;

export const command: Command = {
  name: "ask",
  usage: ["--tool NAME --input JSON [--rationale TEXT] [--timeout TIME] [--unattended] ..."],
  summary: "Ask for permission, and wait until somebody says yes or no.",
  details: [
    "Exit code 0 says that it was approved; 4 that it was denied, or withdrawn by another, or that",
    "nobody answered in time. `postern approvals` answers. Ctrl-C withdraws it, and ends with 130,",
    "SIGTERM with 143, SIGHUP with 129. In a pipe, or with --json, the decision is a JSON object.",
  ],
  options: [
    { name: "tool", value: "NAME", help: "what is to be used" },
    { name: "input", value: "JSON", help: "what with; - reads it from stdin" },
    { name: "rationale", value: "TEXT", help: "what for" },
    { name: "timeout", value: "TIME", help: "how long it may take: 90s, 15m, 12h (as configured)" },
    { name: "unattended", help: "the shorter of the configured times: nobody may be there" },
    { name: "turn", value: "ID", help: "an open turn that we run; whoever sent it is asked" },
    IDENTITY_OPTION,
  ],
  examples: [
    "ask --tool Bash --input '{\"command\":\"rm -rf build\"}' --rationale 'a clean build'",
    "ask --tool Deploy --input '\"production\"' --timeout 10m --json",
  ],
  arguments: [0, 0],
  async run(context) {
    const params = await requestText(context.values);
    const interruption = new Interruption();
    try {
      return await ask(context, params, interruption);
    } catch (error) {
      if (interruption.code === null) throw error;
      return interruption.code;
    } finally {
      interruption.end();
    }
  },
};

/** The parameters of the request as JSON text; the input is in it as it was written. */
async function requestText(values: Values): Promise<string> {
  const tool = required(values, "tool", "what is to be used");
  const given = required(values, "input", "what with, as JSON");
  if (given === "-" && values.text("token-file") === "-") {
    throw new UsageError("--input - and --token-file - cannot both read stdin");
  }
  const input = given === "-" ? await readAllInput() : given;
  requireJson(input, "--input");
  return objectText({
    tool: JSON.stringify(tool),
    input,
    rationale: JSON.stringify(values.text("rationale")),
    timeout_s: JSON.stringify(values.seconds("timeout")),
    mode: values.flag("unattended") ? '"unattended"' : undefined,
    turn_id: JSON.stringify(values.text("turn")),
    cancel_on_disconnect: "true",
  });
}

function required(values: Values, name: string, what: string): string {
  const text = values.text(name);
  if (text === undefined) throw new UsageError(`--${name} is missing: ${what}`);
  return text;
}

function ask(context: Context, params: string, interruption: Interruption): Promise<number> {
  const { out } = context;
  const link = new Absence(out);
  const onNotice = link.note.bind(link);
  const { signal } = interruption;
  return withIdentity(context, { onNotice, signal }, async (client) => {
    let asked: Asked | null = null;
    try {
      asked = await interruption.orElse(request(client, params));
      link.expiresMs = asked.expires_at;
      await tellAsked(asked, context);
      const end = AbortSignal.any([signal, link.hopeless]);
      return await tellDecision(await decisionOf(client, asked.request_id, end), out);
    } catch (error) {
      if (signal.aborted) await withdraw(client, asked, out);
      throw error;
    }
  });
}

function request(client: Client, params: string) {
  return client.call("permission.request", params);
}

/** Waits, over as many connections as it takes. */
function decisionOf(client: Client, request_id: string, signal: AbortSignal) {
  return throughRestarts(
    signal,
    () => client.call("permission.wait", { request_id }, { signal }),
  );
}

async function tellAsked(asked: Asked, { out, values }: Context): Promise<void> {
  const { request_id, originator, expires_at } = asked;
  if (out.json) {
    return await out.note(JSON.stringify({ waiting: { request_id, originator, expires_at } }));
  }
  const tool = shown(values.text("tool"));
  const until = timeOf(expires_at);
  await out.note(
    printable(`postern: ${tool} waits for ${originator} to approve ${request_id}, until ${until}`),
  );
}

/** The exit code is the decision's, whether or not anybody reads along. */
async function tellDecision(decided: Decision, out: Output): Promise<number> {
  const { request_id, decision, approved, by, answer } = decided;
  try {
    if (out.isTerminal && !out.json) await out.line(printable(decisionLine(decided)));
    else await out.object({ request_id, decision, approved, by, answer });
  } catch (error) {
    if (!(error instanceof OutputClosed)) throw error;
  }
  return approved ? EXIT.ok : EXIT.refused;
}

function decisionLine({ decision, by, answer }: Decision): string {
  if (decision === "timeout") return "timeout: nobody answered in time, which denies it";
  const { approve: _, ...more } = (answer ?? {}) as Record<string, unknown>;
  const told = Object.keys(more).length === 0 ? "" : `, ${JSON.stringify(more)}`;
  return `${decision} by ${by}${told}`;
}

/** Where there is no request yet, the end of the connection withdraws it. */
async function withdraw(client: Client, asked: Asked | null, out: Output): Promise<void> {
  if (asked === null) return;
  const { request_id } = asked;
  const signal = AbortSignal.timeout(WITHDRAW_MS);
  try {
    await throughRestarts(
      signal,
      () => client.call("permission.cancel", { request_id }, { signal }),
    );
    await out.note(`postern: withdrew ${request_id}`);
  } catch (error) {
    const reason = signal.aborted ? "the daemon does not answer" : (error as Error).message;
    await out.note(printable(`postern: ${request_id} could not be withdrawn: ${reason}`));
  }
}

/** Ctrl-C, SIGTERM and SIGHUP, from the beginning to the end of the command. */
class Interruption {
  /** The exit code that it asks for; `null` while there was none. */
  code: number | null = null;
  readonly #controller = new AbortController();
  readonly #listeners = ENDING_SIGNALS.map((name: Interrupt) => {
    return [name, () => this.#come(SIGNAL_EXITS[name])] as const;
  });

  constructor() {
    for (const [name, listener] of this.#listeners) Deno.addSignalListener(name, listener);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What the promise brings, unless the interruption comes first. */
  async orElse<T>(promise: Promise<T>): Promise<T> {
    const interrupted = Promise.withResolvers<never>();
    const abort = () => interrupted.reject(this.signal.reason);
    this.signal.addEventListener("abort", abort, { once: true });
    if (this.signal.aborted) abort();
    try {
      return await Promise.race([promise, interrupted.promise]);
    } finally {
      this.signal.removeEventListener("abort", abort);
    }
  }

  /** From then on the signals do what they usually do. */
  end(): void {
    for (const [name, listener] of this.#listeners) Deno.removeSignalListener(name, listener);
  }

  #come(code: number): void {
    this.code = code;
    this.#controller.abort(new Error("interrupted"));
    // A second one does not wait for the withdrawal.
    this.end();
  }
}

/** A daemon that is not there, for as long as it may come back before the request's time is over. */
class Absence {
  /** As far as was told; more time may have been given since. */
  expiresMs = Infinity;
  readonly #out: Output;
  readonly #given = new AbortController();

  constructor(out: Output) {
    this.#out = out;
  }

  /** Aborted when there is no daemon and the time is over. */
  get hopeless(): AbortSignal {
    return this.#given.signal;
  }

  note({ type }: { readonly type: "lost" | "retrying" | "connected" }): void {
    if (type === "lost") this.#tell(type, "the daemon is away; waiting for it to come back");
    if (type === "connected") this.#tell(type, "the daemon is there again");
    if (type !== "retrying" || Date.now() < this.expiresMs) return;
    const rule = "there is no daemon, and the time of the request is over";
    this.#given.abort(new ConnectionError("ECONNRESET", `waiting for the decision: ${rule}`));
  }

  #tell(link: string, text: string): void {
    void this.#out.note(this.#out.json ? JSON.stringify({ link }) : `postern: ${text}`);
  }
}
