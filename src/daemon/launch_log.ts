/**
 * The launcher's own way into `log/daemon.log`, for what the Worker cannot tell any more.
 *
 * The file is opened while the launcher still may; a handle needs no right later. Writing never fails loudly:
 * it is used where something has failed already.
 */

import { join } from "@std/path/posix";
import { type Level, logLine } from "./log_line.ts";
import { openOwnFile, writeAll } from "./safe_file.ts";

/** An open log. */
export class LaunchLog {
  readonly #file: Deno.FsFile;

  /** @throws {PosternError} `permission_denied` when the file is not ours. */
  constructor(directory: string, uid: number | null) {
    this.#file = openOwnFile(join(directory, "log", "daemon.log"), { uid, append: true });
  }

  /** Adds one line. */
  write(level: Level, message: string, fields?: Readonly<Record<string, unknown>>): void {
    try {
      const line = logLine({ level, message, fields, atMs: Date.now() });
      writeAll(this.#file, new TextEncoder().encode(line));
    } catch {
      // A full disk must not hide the exit code, nor the line on stderr.
    }
  }

  close(): void {
    this.#file.close();
  }
}
