/**
 * The small files that tell others of a daemon, `daemon.json` and `daemon.pid`, on a disk that takes nothing: the
 * daemon starts without them, since reading goes on, and they are written as soon as there is room.
 *
 * Invariant: a file that cannot be written for any other reason keeps the daemon from starting.
 */

import type { Log } from "../core/ports.ts";
import { storageRefusal } from "./safe_file.ts";

/** The files of one daemon; two at most. */
export class StartFiles {
  readonly #log: Log;
  readonly #missing = new Map<string, () => void>();

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Writes a file, now or when there is room for it.
   *
   * @param name What it is called in the log.
   * @throws What `write` throws, unless the disk is full or read-only.
   */
  write(name: string, write: () => void): void {
    if (isWritten(write)) return;
    this.#missing.set(name, write);
    this.#log.warn("the disk takes nothing; starting without a file, which is written later", {
      file: name,
    });
  }

  /** Tries again what is missing. To be called once a second; never throws. */
  retry(): void {
    for (const [file, write] of this.#missing) {
      try {
        if (!isWritten(write)) continue;
        this.#log.info("wrote a file that the start had no room for", { file });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#log.error("cannot write a file that the start had no room for", { file, reason });
      }
      this.#missing.delete(file);
    }
  }
}

/** @returns Whether it was written; the disk took nothing otherwise. */
export function isWritten(write: () => void): boolean {
  try {
    write();
    return true;
  } catch (error) {
    if (storageRefusal("starting", error) === null) throw error;
    return false;
  }
}
