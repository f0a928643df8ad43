/**
 * What a command prints: text for people, JSON for programs, complaints on stderr.
 *
 * Results wait for the reader of stdout, so that a slow pipe costs no memory. A reader that has gone away
 * ends the command quietly. Colour goes to a terminal only, and not with NO_COLOR.
 */

/** The reader of stdout has gone away. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** Where bytes go; `Deno.stdout` and `Deno.stderr` are such. */
export interface Sink {
  write(bytes: Uint8Array): Promise<number>;
  isTerminal(): boolean;
}

/** What one command prints to. */
export class Output {
  /** Whether to answer for programs. */
  json = false;
  readonly #out: Sink;
  readonly #err: Sink;
  readonly #coloured: boolean;
  readonly #encoder = new TextEncoder();
  /** Whether a passing line stands on the terminal and must make room. */
  #passing = false;

  constructor(out: Sink = Deno.stdout, err: Sink = Deno.stderr, noColor: boolean = Deno.noColor) {
    this.#out = out;
    this.#err = err;
    this.#coloured = !noColor && out.isTerminal();
  }

  /** Whether a person reads along. */
  get isTerminal(): boolean {
    return this.#out.isTerminal();
  }

  /** Whether a person watches stderr, where passing lines go. */
  get isWatched(): boolean {
    return this.#err.isTerminal();
  }

  /** One line, or several, on stdout. */
  line(text: string): Promise<void> {
    return this.raw(`${text}\n`);
  }

  /** Text on stdout as it is. */
  raw(text: string): Promise<void> {
    return this.bytes(this.#encoder.encode(text));
  }

  /** Bytes on stdout as they are. */
  async bytes(bytes: Uint8Array): Promise<void> {
    await this.clearPassing();
    try {
      await this.#writeAll(this.#out, bytes);
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) throw new OutputClosed();
      throw error;
    }
  }

  /** One JSON value on one line. */
  object(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value));
  }

  /** The value as JSON for programs, else the text that `toText` makes of it. */
  result<T>(value: T, toText: (value: T) => string): Promise<void> {
    return this.json ? this.object(value) : this.line(toText(value));
  }

  /** A line for whoever watches, on stderr. */
  async note(text: string): Promise<void> {
    await this.clearPassing();
    await this.#complain(`${text}\n`);
  }

  /** What should be mended, though the command goes on; on stderr. */
  async warn(text: string): Promise<void> {
    const line = this.json
      ? JSON.stringify({ warning: { message: text } })
      : `postern: warning: ${printable(text)}`;
    await this.note(line);
  }

  /** A line that stands on the watcher's terminal until anything else is said. Nowhere else. */
  async passing(text: string): Promise<void> {
    if (!this.isWatched) return;
    this.#passing = true;
    await this.#complain(`\r\x1b[K${text}`);
  }

  /** Takes the passing line away. */
  async clearPassing(): Promise<void> {
    if (!this.#passing) return;
    this.#passing = false;
    await this.#complain("\r\x1b[K");
  }

  /** Text that stands back on a coloured terminal. */
  dim(text: string): string {
    return this.#coloured ? `\x1b[2m${text}\x1b[22m` : text;
  }

  /** Text that stands out on a coloured terminal. */
  marked(text: string): string {
    return this.#coloured ? `\x1b[7m${text}\x1b[27m` : text;
  }

  async #complain(text: string): Promise<void> {
    try {
      await this.#writeAll(this.#err, this.#encoder.encode(text));
    } catch {
      // Nobody listens there, and the exit code still tells.
    }
  }

  async #writeAll(sink: Sink, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await sink.write(bytes.subarray(at));
  }
}

/** Text of others made harmless for a terminal: control characters are shown, not obeyed. */
export function printable(text: string): string {
  return text.replaceAll(
    // deno-lint-ignore no-control-regex
    /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
