/**
 * The real program at a terminal: a pseudo-terminal of a chosen size, on which a test types and reads.
 *
 * Python opens it, for Deno has no way to.
 */

import { environment, RUN } from "./cli.ts";
import { withinLimit } from "./within_limit.ts";

/** Reads orders, one a line, passes on what the program writes, and ends as it ends. */
const PYTHON = `
import fcntl, json, os, pty, select, signal, struct, sys, termios

def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

def settings():
    flags = termios.tcgetattr(fd)[3]
    return b"\\x00%d%d\\x00" % (bool(flags & termios.ECHO), bool(flags & termios.ICANON))

pid, fd = pty.fork()
if pid == 0:
    resize(0, int(sys.argv[1]), int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
orders = b""
last = lambda: b""
while True:
    ready, _, _ = select.select([fd, 0], [], [])
    if fd in ready:
        try:
            seen = os.read(fd, 65536)
        except OSError:
            seen = b""
        if not seen:
            break
        os.write(1, seen)
    if 0 in ready:
        seen = os.read(0, 65536)
        if not seen:
            break
        *lines, orders = (orders + seen).split(b"\\n")
        for line in lines:
            order = json.loads(line)
            if "size" in order:
                resize(fd, *order["size"])
            elif "proceed" in order:
                os.waitpid(pid, os.WUNTRACED)
                os.kill(pid, signal.SIGCONT)
            elif "settings" in order:
                os.write(1, settings())
            elif "terminate" in order:
                last = settings
                if "keys" in order:
                    os.write(fd, order["keys"].encode())
                else:
                    os.kill(pid, signal.SIGTERM)
            else:
                os.write(fd, order["keys"].encode())
os.write(1, last())
os.close(fd)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** How the settings are told among what the program writes. */
const SETTINGS = /\0([01])([01])\0/;

/** Why there can be no terminal here; `null` when there can. */
export function whyNoTerminal(): string | null {
  try {
    const check = new Deno.Command("python3", { args: ["-c", "import pty"] }).outputSync();
    return check.success ? null : "python3 has no pty here";
  } catch {
    return "python3 is not here";
  }
}

/** A program at its terminal; `await using` hangs up. */
export class Terminal implements AsyncDisposable {
  /** All that the program has written so far. */
  text = "";
  readonly #child: Deno.ChildProcess;
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;

  /** @param args Those of `postern`. @param size Lines and columns. */
  constructor(
    args: readonly string[],
    size: readonly [number, number] = [24, 80],
    env: Record<string, string> = {},
  ) {
    this.#child = new Deno.Command("python3", {
      args: ["-c", PYTHON, ...size.map(String), Deno.execPath(), ...RUN, ...args],
      clearEnv: true,
      env: environment({ TERM: "xterm-256color", ...env }),
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#orders = this.#child.stdin.getWriter();
  }

  /** What was painted last, as lines; of what is being painted nothing yet. */
  get painted(): string[] {
    const end = this.text.lastIndexOf("\x1b[J");
    const begin = this.text.lastIndexOf("\x1b[H", end);
    if (begin < 0) return [];
    return this.text.slice(begin + 3, end).replaceAll("\x1b[K", "").split(/\r+\n/);
  }

  /** Reads until the condition holds; fails with what was seen when the program ends before. */
  async until(condition: (terminal: this) => boolean): Promise<void> {
    while (!condition(this)) {
      const { done, value } = await this.#read(`${condition}`);
      if (done) throw new Error(`the program ended after ${JSON.stringify(this.text)}`);
      this.text += value;
    }
  }

  /** Types; "\\x03" is Ctrl-C. */
  type(keys: string): Promise<void> {
    return this.#order({ keys });
  }

  /** Makes the terminal another size, in lines and columns. */
  resize(...size: [number, number]): Promise<void> {
    return this.#order({ size });
  }

  /** Lets a program that has stopped, or is about to, go on; `fg` in a shell. */
  proceed(): Promise<void> {
    return this.#order({ proceed: true });
  }

  /** Whether the terminal echoes what is typed, and passes it on in whole lines. */
  async settings(): Promise<{ readonly echo: boolean; readonly lines: boolean }> {
    await this.#order({ settings: true });
    await this.until(({ text }) => SETTINGS.test(text));
    return this.#takeSettings();
  }

  /**
   * Ends the program by what is typed, or by SIGTERM, and reads to the end.
   *
   * @returns the exit code, and the settings that are left
   */
  async terminated(keys?: string) {
    await this.#order({ terminate: true, keys });
    const code = await this.ended();
    return { code, ...this.#takeSettings() };
  }

  /** Reads to the end. @returns the exit code */
  async ended(): Promise<number> {
    for (;;) {
      const { done, value } = await this.#read("its end");
      if (done) return (await this.#child.status).code;
      this.text += value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#orders.close().catch(() => {});
    await this.#reader.cancel();
    await this.#child.status;
  }

  #takeSettings(): { readonly echo: boolean; readonly lines: boolean } {
    const [found = "", echo, lines] = SETTINGS.exec(this.text) ?? [];
    this.text = this.text.replace(found, "");
    return { echo: echo === "1", lines: lines === "1" };
  }

  #read(awaited: string): Promise<ReadableStreamReadResult<string>> {
    return withinLimit(this.#reader.read(), awaited, () => JSON.stringify(this.text));
  }

  async #order(order: unknown): Promise<void> {
    await this.#orders.write(new TextEncoder().encode(`${JSON.stringify(order)}\n`));
  }
}
