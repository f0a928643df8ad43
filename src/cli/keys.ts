/**
 * Keys as they are pressed, one by one, without being shown.
 *
 * Ctrl-C and Ctrl-Z stay signals. When the reading ends, by whatever way, the terminal is as it was.
 */

/** An escape sequence, or a character. */
// deno-lint-ignore no-control-regex
const KEY = /\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|[\s\S]/gu;

const NAMES: Readonly<Record<string, string>> = {
  "\x1b[A": "up",
  "\x1bOA": "up",
  "\x1b[B": "down",
  "\x1bOB": "down",
  "\x1b[5~": "page up",
  "\x1b[6~": "page down",
  "\x1b": "escape",
  "\r": "enter",
  "\n": "enter",
  " ": "page down",
};

/** One key: a character, or the name of what has none. */
export interface Key {
  readonly name: string;
  /** Whether it came by itself. What comes together may have been pasted. */
  readonly isAlone: boolean;
}

/** The keys in what a terminal sent at once. */
export function keysIn(text: string): Key[] {
  const found = text.match(KEY) ?? [];
  return found.map((key) => ({ name: NAMES[key] ?? key, isAlone: found.length === 1 }));
}

/** The keys of the terminal that stdin is; `using` gives it back. */
export class Keys implements Disposable {
  readonly #reader = Deno.stdin.readable.getReader();

  constructor() {
    this.take();
  }

  /** Has keys come as they are pressed. */
  take(): void {
    Deno.stdin.setRaw(true, { cbreak: true });
  }

  /** Has the terminal as it was, for the shell. */
  giveBack(): void {
    try {
      Deno.stdin.setRaw(false);
    } catch {
      // A terminal that is gone needs nothing.
    }
  }

  /** Tells each key, until the terminal is gone or this is disposed of. */
  async each(take: (key: Key) => void): Promise<void> {
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      for (const key of keysIn(decoder.decode(value, { stream: true }))) take(key);
    }
  }

  [Symbol.dispose](): void {
    this.giveBack();
    this.#reader.cancel().catch(() => {});
  }
}
