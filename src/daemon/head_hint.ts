/**
 * The head of the log, noted in `events.head` beside the database.
 *
 * It is written after each commit and before any sender has its answer, so a store that comes back from a
 * crash with a lower head has lost something that was acknowledged. Written in place, one short line of fixed
 * length, without an fsync: that the database has.
 */

import { join } from "@std/path/posix";
import type { HeadHint } from "../store/kv_store.ts";
import { openOwnFile, readOwnFile } from "./safe_file.ts";

const FILE = "events.head";
/** Digits of the largest seq. */
const DIGITS = 16;

/**
 * Opens or creates the hint.
 *
 * @throws PosternError `permission_denied` when the file is not a regular file of ours.
 */
export function openHeadHint(directory: string, uid: number | null): HeadHint {
  const path = join(directory, FILE);
  const text = readOwnFile(path, { uid });
  const file = openOwnFile(path, { uid });
  const encoder = new TextEncoder();
  return {
    read: () => parse(text ?? ""),
    write({ epoch, head }) {
      file.seekSync(0, Deno.SeekMode.Start);
      file.writeSync(encoder.encode(`${String(head).padStart(DIGITS, "0")} ${epoch}\n`));
    },
    close: () => file.close(),
  };
}

/** A line that was cut or never written says nothing. */
function parse(text: string): { epoch: string; head: number } | null {
  const found = /^(\d{16}) (\S+)\n/.exec(text);
  return found === null ? null : { head: Number(found[1]), epoch: found[2]! };
}
