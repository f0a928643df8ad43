/**
 * The two halves of the sandbox: what the Worker is given, and that the launcher keeps nothing.
 *
 * These lists are the whole of it; docs/threat-model.md says what they can hold back and what not.
 */

import type { SocketPlace } from "./socket_path.ts";
import { closeUngatedStorage } from "./ungated.ts";

/** Every kind of right there is. */
const KINDS = ["read", "write", "net", "run", "env", "ffi", "sys", "import"] as const;

/**
 * The Worker's rights: one directory, and exactly the sockets that it may listen on. A directory that was made for
 * the sockets is its own as well, because it is removed with them; of any other it gets the sockets alone.
 */
export function workerPermissions(
  directory: string,
  sockets: SocketPlace,
  withHttp: boolean,
): Deno.PermissionOptionsObject {
  const paths = withHttp ? [sockets.ndjson, sockets.http] : [sockets.ndjson];
  const places = [directory, ...placesOf(sockets)];
  return {
    read: places,
    write: places,
    net: paths.map((path) => `unix:${path}`),
    env: false,
    run: false,
    ffi: false,
    sys: false,
    import: false,
  };
}

function placesOf({ extraDirectory, isTemporary, ndjson, http }: SocketPlace): string[] {
  if (extraDirectory === null) return [];
  // Both, though only one may be listened on: an orderly stop removes both.
  return isTemporary ? [extraDirectory] : [ndjson, http];
}

/**
 * Gives up every right of this thread, for good.
 *
 * @param paths Paths to ask for by name as well: a right to one of them would not show in the general question.
 * @returns What is still granted, which must be nothing.
 */
export async function giveUpRights(paths: readonly string[]): Promise<string[]> {
  closeUngatedStorage();
  for (const name of KINDS) await Deno.permissions.revoke({ name } as Deno.PermissionDescriptor);
  const questions: Deno.PermissionDescriptor[] = [
    ...KINDS.map((name) => ({ name }) as Deno.PermissionDescriptor),
    ...paths.map((path) => ({ name: "read", path }) as const),
    ...paths.map((path) => ({ name: "write", path }) as const),
  ];
  const kept: string[] = [];
  for (const question of questions) {
    const { state, partial } = await Deno.permissions.query(question);
    if (state === "granted" || partial) kept.push(JSON.stringify(question));
  }
  return kept;
}
