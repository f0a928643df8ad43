/**
 * `daemon.json`: where a running daemon listens and who it is, for its clients.
 *
 * It is written in one step after the daemon listens and removed on an orderly stop, if the disk allows it. Clients of
 * other versions read it: fields are added, never renamed, and `schema` counts only changes that an older reader would
 * get wrong.
 */

import { isAbsolute, join, relative } from "@std/path/posix";
import { removeIfPossible, replaceOwnFile } from "./safe_file.ts";

/** What the file holds. Paths are relative to the directory where they lie in it, absolute elsewhere. */
export interface Discovery {
  readonly schema: 1;
  readonly pid: number;
  readonly hostname: string;
  readonly version: string;
  /** ISO 8601, UTC. */
  readonly started_at: string;
  readonly sockets: { readonly ndjson: string; readonly http?: string };
  readonly token_path: string;
  readonly agent_id: string;
  readonly epoch: string;
  readonly mode: "foreground" | "background";
}

/**
 * Writes `daemon.json`, mode 0600.
 *
 * @param directory The runtime directory.
 * @param discovery What it shall hold; absolute paths inside the directory are made relative.
 * @param uid The user an existing file must belong to; `null` asks for none.
 * @throws {PosternError} `permission_denied` when something foreign stands in its place.
 */
export function writeDiscovery(
  directory: string,
  discovery: Discovery,
  uid: number | null = null,
): void {
  const facts: Discovery = {
    ...discovery,
    sockets: {
      ndjson: shortened(directory, discovery.sockets.ndjson),
      ...(discovery.sockets.http === undefined
        ? {}
        : { http: shortened(directory, discovery.sockets.http) }),
    },
    token_path: shortened(directory, discovery.token_path),
  };
  replaceOwnFile(join(directory, "daemon.json"), `${JSON.stringify(facts, null, 2)}\n`, { uid });
}

/** Removes `daemon.json` if it is there. @returns whether it is gone; on a read-only disk it stays */
export function removeDiscovery(directory: string): boolean {
  return removeIfPossible(join(directory, "daemon.json"));
}

function shortened(directory: string, path: string): string {
  if (!isAbsolute(path)) return path;
  const inside = relative(directory, path);
  return inside === ".." || inside.startsWith("../") ? path : inside;
}
