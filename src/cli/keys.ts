/**
 * Keys as they are pressed, one by one, without being shown.
 *
 * Ctrl-C and Ctrl-Z stay signals. Text that is pasted, as a terminal marks it, is no key. When the reading ends, by
 * whatever way, the terminal is as it was.
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

/** What stands around text that is pasted. */
const PASTE_BEGINS = "\x1b[200~";
const PASTE_ENDS = "\x1b[201~";
/** At the end of a read: what may be the beginning of a mark. */
// deno-lint-ignore no-control-regex
const UNFINISHED = /\x1b\[[0-9;]{0,8}$/;

/** Leaves out what was pasted, over as many reads as it comes in. Holds a few characters. */
export class KeyReader {
  #isPasting = false;
  /** What may go on with the next read. */
  #held = "";

  /** The keys in what a terminal sent at once. What came beside a paste did not come by itself. */
  push(text: string): Key[] {
    let rest = this.#held === "\x1b" && !text.startsWith("[") ? text : this.#held + text;
    this.#held = "";
    let typed = "";
    let hasPaste = this.#isPasting;
    for (;;) {
      const mark = this.#isPasting ? PASTE_ENDS : PASTE_BEGINS;
      const at = rest.indexOf(mark);
      if (at < 0) break;
      if (!this.#isPasting) typed += rest.slice(0, at);
      rest = rest.slice(at + mark.length);
      this.#isPasting = !this.#isPasting;
      hasPaste = true;
    }
    typed += this.#isPasting ? this.#holdOfPaste(rest) : this.#holdOfKeys(rest);
    const keys = keysIn(typed);
    return hasPaste ? keys.map((key) => ({ ...key, isAlone: false })) : keys;
  }

  /** Forgets what had begun. */
  reset(): void {
    this.#isPasting = false;
    this.#held = "";
  }

  #holdOfPaste(text: string): string {
    this.#held = text.slice(1 - PASTE_ENDS.length);
    return "";
  }

  #holdOfKeys(text: string): string {
    const unfinished = UNFINISHED.exec(text)?.[0] ?? "";
    // A person's Escape is a key at once, though a mark may go on behind it.
    this.#held = text.endsWith("\x1b") ? "\x1b" : unfinished;
    return text.slice(0, text.length - unfinished.length);
  }
}

/** The keys of the terminal that stdin is; `using` gives it back. */
export class Keys implements Disposable {
  readonly #keys = new KeyReader();
  readonly #reader = Deno.stdin.readable.getReader();

  constructor() {
    this.take();
  }

  /** Has keys come as they are pressed. */
  take(): void {
    this.#keys.reset();
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
      for (const key of this.#keys.push(decoder.decode(value, { stream: true }))) take(key);
    }
  }

  [Symbol.dispose](): void {
    this.giveBack();
    this.#reader.cancel().catch(() => {});
  }
}
