/**
 * What a daemon said in its log since a moment ago, so that a failed start shows its reason at once.
 *
 * It reads a bounded part and never older lines, which would be about another failure.
 */

import { join } from "@std/path/posix";

const LOG_TAIL_BYTES = 4096;

/** What was appended to a daemon's log since this was made, in part. */
export class LogTail {
  readonly #path: string;
  readonly #from: number;

  constructor(directory: string) {
    this.#path = join(directory, "log", "daemon.log");
    this.#from = this.#size();
  }

  /** The end of what the daemon told, on stderr or in its log, to go behind a message. */
  told(stderr: string): string {
    const log = this.#read();
    const text = [stderr.trim(), log && `the end of ${this.#path}:\n${log}`].filter(Boolean);
    return text.length === 0
      ? ` and said nothing; its log would be ${this.#path}`
      : `:\n${text.join("\n")}`;
  }

  #read(): string {
    const size = this.#size();
    const from = Math.max(size < this.#from ? 0 : this.#from, size - LOG_TAIL_BYTES);
    if (from >= size) return "";
    using file = Deno.openSync(this.#path);
    file.seekSync(from, Deno.SeekMode.Start);
    const bytes = new Uint8Array(LOG_TAIL_BYTES);
    const count = file.readSync(bytes) ?? 0;
    return new TextDecoder().decode(bytes.subarray(0, count)).trim();
  }

  #size(): number {
    try {
      return Deno.statSync(this.#path).size;
    } catch {
      return 0;
    }
  }
}
