/** A `postern` that goes on while a test talks to it: its output as it comes, its stdin, its end. */

import { posternCommand } from "./cli.ts";
import { withinLimit } from "./within_limit.ts";

/** A running `postern`; `await using` kills what is left of it. */
export class CliProcess implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #read: Promise<unknown>;
  #changed = Promise.withResolvers<void>();
  #isOver = false;

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.#child = posternCommand(args, { piped: true, env }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#read = Promise.all([
      this.#follow(this.#child.stdout, (text) => this.stdout += text),
      this.#follow(this.#child.stderr, (text) => this.stderr += text),
    ]).finally(() => {
      this.#isOver = true;
      this.#changed.resolve();
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Reads until the condition holds; fails with what was seen when the process ends before. */
  async until(condition: (process: this) => boolean): Promise<void> {
    while (!condition(this)) {
      if (this.#isOver) throw new Error(`it ended: ${this.#written()}`);
      await withinLimit(this.#changed.promise, `${condition}`, () => this.#written());
    }
  }

  async write(text: string): Promise<void> {
    await this.#stdin.write(new TextEncoder().encode(text));
  }

  async closeStdin(): Promise<void> {
    await this.#stdin.close();
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** @returns the exit code, when all that it wrote was read */
  async ended(): Promise<number> {
    await withinLimit(this.#read, "its end", () => this.#written());
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close().catch(() => {});
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await this.#read;
    await this.#child.status;
  }

  #written(): string {
    return JSON.stringify([this.stdout, this.stderr]);
  }

  async #follow(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      take(text);
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    }
  }
}
