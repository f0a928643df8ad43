/**
 * Text that stands on a terminal and is painted anew in its place.
 *
 * It has the terminal's second screen to itself; when it ends, by whatever way, cursor, line wrap and what stood
 * there before are back. It is painted when something changed, at most every PAINT_MS, once a second for what ages,
 * and when the terminal's size changes.
 */

import type { Output } from "./output.ts";

const PAINT_MS = 100;
const AGE_MS = 1000;

/** The second screen, without cursor and line wrap; and back. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/** Text that is pasted stands between marks, or no longer does. */
const MARK_PASTES = "\x1b[?2004h";
const NO_MARKS = "\x1b[?2004l";
/** Where a terminal does not tell. */
const USUAL_SIZE: TerminalSize = { columns: 80, rows: 24 };

type Timer = ReturnType<typeof setTimeout>;

/** Characters across and lines down. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** What is painted, and who is told when that fails. */
export interface LiveScreenOptions {
  readonly out: Output;
  /** The lines, which must fit {@linkcode terminalSize}. */
  readonly draw: () => readonly string[];
  /** The terminal is gone; nothing is painted any more. */
  readonly onError: (error: unknown) => void;
  /** Whether keys are read, and text that is pasted has to be told from them. */
  readonly marksPastes?: boolean;
  /** Ctrl-Z: the terminal is about to be the shell's, and is ours again. */
  readonly onAway?: () => void;
  readonly onBack?: () => void;
}

/** One painting; `await using` ends it. */
export class LiveScreen implements AsyncDisposable {
  readonly #options: LiveScreenOptions;
  readonly #ages: Timer;
  readonly #changed = () => this.changed();
  readonly #stopped = () => void this.#suspend();
  #timer: Timer | undefined;
  /** Writes in their order. */
  #writing: Promise<void>;
  #ended = false;
  /** Whether the terminal is the shell's, where nothing may be painted. */
  #isAway = false;

  constructor(options: LiveScreenOptions) {
    this.#options = options;
    this.#writing = this.#write(this.#enter);
    this.#ages = setInterval(this.#changed, AGE_MS);
    Deno.addSignalListener("SIGWINCH", this.#changed);
    Deno.addSignalListener("SIGTSTP", this.#stopped);
    this.changed();
  }

  /** Says that there is something new to paint. */
  changed(): void {
    if (this.#ended) return;
    this.#timer ??= setTimeout(() => this.#paint(), PAINT_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearInterval(this.#ages);
    clearTimeout(this.#timer);
    Deno.removeSignalListener("SIGWINCH", this.#changed);
    Deno.removeSignalListener("SIGTSTP", this.#stopped);
    await this.#writing;
    await this.#write(this.#leave);
  }

  get #enter(): string {
    return this.#options.marksPastes ? `${ENTER}${MARK_PASTES}` : ENTER;
  }

  get #leave(): string {
    return this.#options.marksPastes ? `${NO_MARKS}${LEAVE}` : LEAVE;
  }

  async #paint(): Promise<void> {
    await this.#writing;
    this.#timer = undefined;
    if (this.#ended || this.#isAway) return;
    const lines = this.#options.draw().map((line) => `${line}\x1b[K`);
    this.#writing = this.#write(`\x1b[H${lines.join("\r\n")}\x1b[J`);
  }

  /** Ctrl-Z: the shell finds its own screen, and this one is there again when the program goes on. */
  async #suspend(): Promise<void> {
    if (this.#isAway) return;
    this.#isAway = true;
    await this.#writing;
    if (this.#ended) return;
    this.#options.onAway?.();
    await this.#write(this.#leave);
    Deno.kill(Deno.pid, "SIGSTOP");
    this.#options.onBack?.();
    this.#isAway = false;
    this.#writing = this.#write(this.#enter);
    this.changed();
  }

  async #write(text: string): Promise<void> {
    try {
      await this.#options.out.raw(text);
    } catch (error) {
      this.#ended = true;
      this.#options.onError(error);
    }
  }
}

/** The size of the terminal that stdout is. */
export function terminalSize(): TerminalSize {
  try {
    const { columns, rows } = Deno.consoleSize();
    return columns > 0 && rows > 0 ? { columns, rows } : USUAL_SIZE;
  } catch {
    return USUAL_SIZE;
  }
}
