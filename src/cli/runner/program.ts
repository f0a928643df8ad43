/**
 * One program for one turn: the text on its stdin, what it writes as pieces, how it ended.
 *
 * It leads a process group of its own, so that what it starts ends with it. Invariants: behind `run` nothing of a
 * program that was stopped is left; no more of its output is held than one read and one piece; output that nobody
 * takes is not read, so that the program waits.
 */

import { resolve } from "@std/path/posix";
import { shown } from "../../client/errors.ts";
import type { EndingSignal, ProgramControl } from "./control.ts";
import { OutputPieces } from "./output_pieces.ts";

/** Of what it says on stderr, the end that its failure tells. */
const TOLD_CHARS = 2000;

/** What to run, and for what. */
export interface ProgramJob {
  /** Absolute. */
  readonly path: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What stdin brings. */
  readonly text: string;
  /** From SIGTERM to SIGKILL; and how long output may stay open behind its end. */
  readonly graceMs: number;
}

/** Where the program's words go. */
export interface ProgramListener {
  /** Takes a piece of stdout; the next one is read when this is done. */
  told(text: string): Promise<void>;
  /** Takes a part of stderr as it is. */
  complained(bytes: Uint8Array): Promise<void>;
}

/** How a program ended that was not stopped: `null` for well, else the data of the turn's failure. */
export type ProgramFailure = null | {
  readonly reason: string;
  readonly exit_code?: number;
  readonly signal?: string;
};

type Timer = ReturnType<typeof setTimeout>;

/** A program that is to run once. */
export class Program {
  readonly #job: ProgramJob;
  readonly #control: ProgramControl;
  readonly #forced = Promise.withResolvers<void>();
  #child: Deno.ChildProcess | null = null;
  #isStopped = false;
  #timer: Timer | undefined;

  constructor(job: ProgramJob, control: ProgramControl) {
    this.#job = job;
    this.#control = control;
  }

  /** Whether it was told to stop; its outcome says nothing then. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Runs it to its end. What the listener throws stops the program, and is thrown when that is gone. */
  async run(listener: ProgramListener): Promise<ProgramFailure> {
    if (this.#isStopped) return null;
    let child: Deno.ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      return { reason: `the program could not be started: ${(error as Error).message}` };
    }
    this.#child = child;
    this.#control.started(child.pid);
    try {
      return await this.#follow(child, listener);
    } finally {
      clearTimeout(this.#timer);
      // What it left behind goes as well, where it was to stop.
      if (this.#isStopped) this.#signal("SIGKILL");
      this.#child = null;
      this.#control.ended(child.pid);
    }
  }

  /** Ends it: SIGTERM, and SIGKILL when that has not helped in time. Idempotent. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.#child === null) return;
    this.#signal("SIGTERM");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#force(), this.#job.graceMs);
  }

  #spawn(): Deno.ChildProcess {
    const { path, args, env } = this.#job;
    const piped = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    return new Deno.Command(path, { args: [...args], env, detached: true, ...piped }).spawn();
  }

  async #follow(child: Deno.ChildProcess, listener: ProgramListener): Promise<ProgramFailure> {
    feed(child.stdin, this.#job.text).catch(() => {
      // It may end without reading what it is asked.
    });
    const tail = new Tail();
    const pieces = new OutputPieces();
    let fault: unknown = null;
    const tell = async (texts: readonly string[]) => {
      for (const text of texts) if (!this.#isStopped) await listener.told(text);
    };
    const failed = (error: unknown) => {
      fault ??= error;
      this.stop();
    };
    const output = this.#drain(child.stdout, (chunk) => tell(pieces.push(chunk)))
      .then(() => tell(pieces.end())).catch(failed);
    const complaints = this.#drain(child.stderr, (chunk) => {
      tail.push(chunk);
      return listener.complained(chunk);
    }).catch(failed);
    const status = await child.status;
    // Something that it started may hold its output open.
    this.#timer ??= setTimeout(() => this.#forced.resolve(), this.#job.graceMs);
    await Promise.all([output, complaints]);
    if (fault !== null) throw fault;
    return failureOf(status, tail.text);
  }

  /** Reads to the end, or until it is forced to end; what comes while nobody takes it waits in the pipe. */
  async #drain(
    stream: ReadableStream<Uint8Array>,
    take: (chunk: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const reader = stream.getReader();
    let isForced = false;
    this.#forced.promise.then(() => {
      isForced = true;
      return reader.cancel();
    }).catch(() => {});
    for (;;) {
      const { done, value } = await reader.read();
      if (done || isForced) return;
      await take(value);
    }
  }

  #force(): void {
    this.#signal("SIGKILL");
    this.#forced.resolve();
  }

  /** The whole group; where nobody can signal that any more, the program itself. */
  #signal(signal: EndingSignal): void {
    if (this.#child === null || this.#control.signal(this.#child.pid, signal)) return;
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended.
    }
  }
}

/** The last words of a program, at most TOLD_CHARS bytes of them. */
class Tail {
  #bytes = new Uint8Array(0);

  push(chunk: Uint8Array): void {
    const last = chunk.subarray(-TOLD_CHARS);
    const kept = this.#bytes.subarray(-(TOLD_CHARS - last.length) || this.#bytes.length);
    const joined = new Uint8Array(kept.length + last.length);
    joined.set(kept);
    joined.set(last, kept.length);
    this.#bytes = joined;
  }

  get text(): string {
    return new TextDecoder().decode(this.#bytes).trim();
  }
}

async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
}

function failureOf({ success, code, signal }: Deno.CommandStatus, said: string): ProgramFailure {
  if (success) return null;
  const how = signal === null ? `exit code ${code}` : `ended by ${signal}`;
  const reason = said === "" ? how : `${how}: ${said}`;
  return signal === null ? { reason, exit_code: code } : { reason, signal };
}

/** The program of that name as an absolute path: a path as it is, a word by PATH; `null` where there is none. */
export function findProgram(name: string, path: string, cwd: string): string | null {
  return candidates(name, path, cwd).find(isProgram) ?? null;
}

/** Whether there is something of that name, program or not; by PATH only files count. As shells tell 126 from 127. */
export function isThere(name: string, path: string, cwd: string): boolean {
  return candidates(name, path, cwd).some((candidate) => {
    try {
      return Deno.statSync(candidate).isFile || name.includes("/");
    } catch (error) {
      return name.includes("/") && !(error instanceof Deno.errors.NotFound);
    }
  });
}

function candidates(name: string, path: string, cwd: string): string[] {
  const places = name.includes("/") ? [cwd] : path.split(":").filter((place) => place !== "");
  return places.map((place) => resolve(cwd, place, name));
}

function isProgram(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** For a message. */
export function noProgram(name: string): string {
  return `there is no program ${shown(name)} that can be run`;
}
