/**
 * What the process that runs programs tells the one that started it, as lines on its stdout.
 *
 * To run one program is no right to signal others, so whoever started it, which has that right, ends the groups of
 * processes. It signals only groups that were told of and have not ended, and ends all of them when this process is
 * gone.
 */

/** How a program's group is ended: asked, then forced. */
export type EndingSignal = "SIGTERM" | "SIGKILL";

/** The processes of a runner, for whoever has them signalled. */
export interface ProgramControl {
  started(pid: number): void;
  /** @returns whether anybody is there to do it */
  signal(pid: number, signal: EndingSignal): boolean;
  ended(pid: number): void;
}

/**
 * Tells it by lines.
 *
 * @param write Throws when nobody reads.
 */
export function controlBy(write: (line: string) => void): ProgramControl {
  const tell = (line: string) => {
    try {
      write(`${line}\n`);
      return true;
    } catch {
      return false;
    }
  };
  return {
    started: (pid) => void tell(`started ${pid}`),
    signal: (pid, signal) => tell(`${signal} ${pid}`),
    ended: (pid) => void tell(`ended ${pid}`),
  };
}

/** The other side: does what the lines say. */
export class ProgramGroups {
  readonly #living = new Set<number>();
  readonly #kill: (pid: number, signal: EndingSignal) => void;

  /** @param kill Signals a process, or with a negative number a group. */
  constructor(kill: (pid: number, signal: EndingSignal) => void = Deno.kill) {
    this.#kill = kill;
  }

  /** Takes a line; what it does not know it leaves alone. */
  take(line: string): void {
    const { what, number } = /^(?<what>\w+) (?<number>[1-9]\d{0,9})$/.exec(line)?.groups ?? {};
    const pid = Number(number);
    // There is no group 1 of anyone's program, and -1 would be everyone.
    if (what === undefined || pid < 2) return;
    if (what === "started") this.#living.add(pid);
    if (!this.#living.has(pid)) return;
    if (what === "ended") this.#living.delete(pid);
    if (what === "SIGTERM" || what === "SIGKILL") this.#signal(pid, what);
  }

  /** Ends all that is left. */
  endAll(): void {
    for (const pid of this.#living) this.#signal(pid, "SIGKILL");
    this.#living.clear();
  }

  #signal(pid: number, signal: EndingSignal): void {
    try {
      this.#kill(-pid, signal);
    } catch {
      // It has ended by itself.
    }
  }
}
