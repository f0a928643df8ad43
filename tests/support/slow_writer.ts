/** The far end of a connection as a test wants it: it takes what it is told to, when it is told to. */

/** Takes writes and notes them; holds them back while it is stopped. */
export class SlowWriter {
  /** What was written, a piece for each write. */
  readonly writes: Uint8Array[] = [];
  /** The most that one write takes. */
  limit = Infinity;
  #stopped: PromiseWithResolvers<void> | null = null;
  #begun: (() => void)[] = [];

  async write(bytes: Uint8Array): Promise<number> {
    for (const resolve of this.#begun.splice(0)) resolve();
    await this.#stopped?.promise;
    const taken = bytes.slice(0, this.limit);
    this.writes.push(taken);
    return taken.byteLength;
  }

  /** Everything written so far, as text. */
  get text(): string {
    const decoder = new TextDecoder();
    return this.writes.map((bytes) => decoder.decode(bytes, { stream: true })).join("");
  }

  get lines(): string[] {
    return this.text.split("\n").slice(0, -1);
  }

  /** Takes nothing from now on. */
  stop(): void {
    this.#stopped ??= Promise.withResolvers();
  }

  /** Takes everything again. */
  go(): void {
    this.#stopped?.resolve();
    this.#stopped = null;
  }

  /** Breaks, as a connection does whose other side is gone. */
  break(): void {
    (this.#stopped ??= Promise.withResolvers()).reject(new Deno.errors.BrokenPipe("gone"));
  }

  /** Resolves when the next write has begun. */
  writeBegins(): Promise<void> {
    return new Promise((resolve) => this.#begun.push(resolve));
  }
}
