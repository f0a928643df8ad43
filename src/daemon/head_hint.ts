/**
 * The head of the log, noted in `events.head` beside the database.
 *
 * It is written after each commit and before any sender has its answer, so a store that comes back from a
 * crash with a lower head has lost something that was acknowledged. Written in place, one short line of fixed
 * length, without an fsync: that the database has.
 */

import { join } from "@std/path/posix";
import type { Log } from "../core/ports.ts";
import type { HeadHint } from "../store/kv_store.ts";
import { openOwnFile, readOwnFile } from "./safe_file.ts";

const FILE = "events.head";
/** Digits of the largest seq. */
const DIGITS = 16;

/**
 * Opens or creates the hint.
 *
 * @param log Told when what is there is no head.
 * @throws PosternError `permission_denied` when the file is not a regular file of ours.
 */
export function openHeadHint(
  directory: string,
  { uid, log }: { readonly uid: number | null; readonly log: Log },
): HeadHint {
  const path = join(directory, FILE);
  const text = readOwnFile(path, { uid });
  if (text !== null && text !== "" && parse(text) === null) {
    log.warn("events.head is damaged; whether the store has gone back is not known");
  }
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

/** A line that was cut or never written, or that no head can be, says nothing. */
function parse(text: string): { epoch: string; head: number } | null {
  const found = /^(\d{16}) (\S+)\n/.exec(text);
  const head = Number(found?.[1]);
  return found === null || !Number.isSafeInteger(head) ? null : { head, epoch: found[2]! };
}
