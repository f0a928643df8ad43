/**
 * A conversation with a session: lines from a terminal, from a pipe, or one text; the turns' output as it comes.
 *
 * One turn at a time. On a terminal the text of others is made harmless; in a pipe it is passed on as it is. Ctrl-C
 * cancels the turn that runs; where none runs, and a second time, it ends the conversation. So do SIGTERM, SIGHUP and
 * a reader of its output that has gone away, which cancel before.
 */

import { PosternError } from "../client/errors.ts";
import type { Client, InboundEvent } from "../client/mod.ts";
import type { Context } from "./command.ts";
import { EXIT, exitCodeOf } from "./exit_codes.ts";
import { InputLines, type Line } from "./input_lines.ts";
import { ENDING_SIGNALS, type Interrupt, onSignals, SIGNAL_EXITS } from "./interrupt.ts";
import { OutputClosed, printable } from "./output.ts";
import { followTurn, type TurnOutcome } from "./turn_follower.ts";

/** What the daemon takes of one message. */
const MAX_LINE_BYTES = 48 * 1024;
const PROMPT = "> ";
/** How long after what is final the conversation may go on, for the turn to be cancelled; then it ends without. */
const CANCEL_MS = 2000;
const EXITS: Readonly<Record<TurnOutcome, number>> = {
  completed: EXIT.ok,
  failed: EXIT.failed,
  // By whomever.
  cancelled: EXIT.interrupted,
};

/** One conversation. */
export class Chat {
  readonly #client: Client;
  readonly #context: Context;
  readonly #sessionId: string;
  readonly #left = Promise.withResolvers<null>();
  /** The turn that runs; `""` from when it is sent until its id is known. */
  #turnId: string | null = null;
  #wantsCancel = false;
  #signal: Interrupt | null = null;
  /** Whether what was printed last ended with its line. */
  #isAtStart = true;
  #hasText = false;
  /** Whether the turn has left the queue. */
  #hasStarted = false;
  /** Why nothing can be written any more. */
  #unread: Error | null = null;
  #isClosed = false;
  /** Ends what does not end by itself, from what is final on. */
  #limit: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, context: Context, sessionId: string) {
    this.#client = client;
    this.#context = context;
    this.#sessionId = sessionId;
    client.closed.then(() => this.#isClosed = true);
  }

  /** One text. @returns the exit code */
  async once(text: string): Promise<number> {
    return await this.#interruptible(async () => {
      const code = await this.#turn(text);
      return this.#isFinal ? SIGNAL_EXITS[this.#signal!] : code;
    });
  }

  /** Each line a turn, until the end of the input. @returns the exit code */
  async lines(input: ReadableStream<Uint8Array>, isTerminal: boolean): Promise<number> {
    return await this.#interruptible(async () => {
      const lines = readLines(input);
      let exit: number = EXIT.ok;
      for (;;) {
        if (isTerminal) await this.#prompt();
        const next = await Promise.race([lines.next(), this.#left.promise]);
        if (next === null || next.done) break;
        const code = await this.#line(next.value);
        if (!isTerminal && code !== EXIT.ok) exit = code;
        if (this.#isOver || (!isTerminal && this.#signal !== null)) break;
      }
      if (isTerminal) await this.#write("\n");
      const wasLeft = isTerminal && this.#signal === "SIGINT";
      return this.#signal === null || wasLeft ? exit : SIGNAL_EXITS[this.#signal];
    });
  }

  async #line(line: Line): Promise<number> {
    if (typeof line !== "string") {
      await this.#complain(`a line that is ${line.fault} is not sent`);
      return EXIT.failed;
    }
    if (line.trim() === "") return EXIT.ok;
    try {
      const code = await this.#turn(line);
      await this.#endLine();
      return code;
    } catch (error) {
      if (this.#isClosed) throw error;
      await this.#complain((error as Error).message);
      return exitCodeOf(error);
    }
  }

  async #turn(text: string): Promise<number> {
    const { out } = this.#context;
    this.#turnId = "";
    this.#hasText = false;
    this.#hasStarted = false;
    this.#wantsCancel = false;
    try {
      const outcome = await followTurn(this.#client, { sessionId: this.#sessionId, text }, {
        accepted: (turnId) => {
          this.#turnId = turnId;
          if (this.#wantsCancel) this.#cancel();
        },
        told: (event) => this.#told(event),
      });
      if (out.isTerminal && !out.json) await this.#endLine();
      return EXITS[outcome];
    } finally {
      this.#turnId = null;
    }
  }

  async #told(event: InboundEvent): Promise<void> {
    const { out } = this.#context;
    const { seq, buffered_at_ms, replay, gap, envelope } = event;
    if (envelope.topic === "turn.queued") void this.#tellWaiting();
    else this.#hasStarted = true;
    if (out.json) {
      const told = JSON.stringify({ seq, buffered_at_ms, replay, gap, envelope });
      return await this.#write(`${told}\n`);
    }
    const payload = envelope.payload as Readonly<Record<string, unknown>>;
    const { data } = payload;
    if (envelope.topic === "turn.delta") await this.#print(textOf(data) ?? JSON.stringify(data));
    if (envelope.topic === "turn.completed" && !this.#hasText) {
      await this.#print(textOf(data) ?? "");
    }
    if (envelope.topic === "turn.failed") await this.#end(`the turn failed: ${reasonOf(payload)}`);
    if (envelope.topic === "turn.cancelled") await this.#end(`the turn is ${reasonOf(payload)}`);
    if (envelope.topic === "turn.tool_start") await this.#tool(data);
  }

  async #print(text: string | undefined): Promise<void> {
    if (text === undefined || text === "") return;
    const { out } = this.#context;
    this.#hasText = true;
    this.#isAtStart = text.endsWith("\n");
    await this.#write(out.isTerminal ? harmless(text) : text);
  }

  /** What the runner does meanwhile interests a person only. */
  async #tool(data: unknown): Promise<void> {
    const { out } = this.#context;
    if (!out.isTerminal || data === undefined) return;
    await this.#endLine();
    await this.#write(`${out.dim(`-- ${printable(JSON.stringify(data))}`)}\n`);
  }

  async #end(reason: string): Promise<void> {
    await this.#endLine();
    await this.#complain(reason);
  }

  async #endLine(): Promise<void> {
    if (!this.#isAtStart && !this.#context.out.json) await this.#write("\n");
    this.#isAtStart = true;
  }

  async #complain(text: string): Promise<void> {
    await this.#context.out.note(`postern: ${harmless(text)}`);
  }

  async #prompt(): Promise<void> {
    if (!this.#context.out.json) await this.#write(PROMPT);
  }

  /** Where nobody reads any more, the turn that runs is cancelled, and its end is waited for. */
  async #write(text: string): Promise<void> {
    if (this.#unread !== null) return;
    try {
      await this.#context.out.raw(text);
    } catch (error) {
      this.#unread = error as Error;
      this.#endSoon();
      this.#left.resolve(null);
      if (this.#turnId !== null) this.#requestCancel();
    }
  }

  /** Whoever waits at a terminal learns why nothing comes. */
  async #tellWaiting(): Promise<void> {
    const { out } = this.#context;
    if (!out.isWatched) return;
    const turnId = this.#turnId;
    try {
      const params = { session_id: this.#sessionId };
      const { attached } = await this.#client.call("session.get", params);
      if (attached || this.#hasStarted || this.#turnId !== turnId) return;
      await this.#endLine();
      await out.note(out.dim("-- no runner is attached; the turn waits"));
    } catch {
      // The turn goes on without the note.
    }
  }

  /** Whether whoever asked to end does not wait for another turn. */
  get #isFinal(): boolean {
    return this.#signal !== null && this.#signal !== "SIGINT";
  }

  get #isOver(): boolean {
    return this.#isFinal || this.#unread !== null;
  }

  async #interruptible(work: () => Promise<number>): Promise<number> {
    try {
      const code = await onSignals(ENDING_SIGNALS, (signal) => this.#interrupt(signal), work);
      const isTold = this.#unread === null || this.#unread instanceof OutputClosed;
      if (!isTold && !this.#isFinal) throw this.#unread;
      return code;
    } catch (error) {
      if (this.#signal === null || !this.#isClosed) throw error;
      return SIGNAL_EXITS[this.#signal];
    } finally {
      clearTimeout(this.#limit);
    }
  }

  /** Whatever the daemon does or does not. */
  #endSoon(): void {
    this.#limit ??= setTimeout(() => void this.#client.close(), CANCEL_MS);
  }

  #interrupt(signal: Interrupt): void {
    const isIdle = this.#turnId === null;
    // Of several the gravest counts.
    if (!this.#isFinal) this.#signal = signal;
    if (this.#isFinal) this.#endSoon();
    if (isIdle || this.#isFinal) this.#left.resolve(null);
    if (isIdle) return;
    if (this.#wantsCancel) return void this.#client.close();
    if (signal === "SIGINT") this.#sayCancelling();
    this.#requestCancel();
  }

  #requestCancel(): void {
    this.#wantsCancel = true;
    if (this.#turnId !== "") this.#cancel();
  }

  /** Whoever sees that the first Ctrl-C arrived knows what a second one does. */
  async #sayCancelling(): Promise<void> {
    const { out } = this.#context;
    if (!out.isWatched) return;
    await this.#endLine();
    await out.note(out.dim("-- cancelling the turn; Ctrl-C again leaves it"));
  }

  /** That it is cancelled is told as an event; that it has ended before is no mistake. */
  async #cancel(): Promise<void> {
    const turnId = this.#turnId!;
    try {
      await this.#client.call("session.cancel", { turn_id: turnId }, { timeoutMs: CANCEL_MS });
    } catch (error) {
      if (this.#turnId !== turnId) return;
      if (this.#isFinal || (this.#unread !== null && isTold(error))) await this.#client.close();
      else if (isTold(error)) await this.#complain((error as Error).message);
    }
  }
}

/** Whether a cancellation failed, and not because the turn has ended. */
function isTold(error: unknown): boolean {
  return !(error instanceof PosternError && ["conflict", "not_found"].includes(error.code));
}

/** What a runner tells as text. */
function textOf(data: unknown): string | undefined {
  if (typeof data === "string") return data;
  const text = (data as { readonly text?: unknown } | null | undefined)?.text;
  return typeof text === "string" ? text : undefined;
}

function reasonOf({ reason, data }: Readonly<Record<string, unknown>>): string {
  const own = (data as { readonly reason?: unknown } | null | undefined)?.reason;
  return String(reason ?? own ?? JSON.stringify(data) ?? "no reason is given");
}

function harmless(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

async function* readLines(input: ReadableStream<Uint8Array>): AsyncGenerator<Line, undefined> {
  const lines = new InputLines(MAX_LINE_BYTES);
  for await (const chunk of input) yield* lines.push(chunk);
  const last = lines.end();
  if (last !== null) yield last;
}
