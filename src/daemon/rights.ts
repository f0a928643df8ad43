/**
 * The two halves of the sandbox: what the Worker is given, and that the launcher keeps nothing.
 *
 * These lists are the whole of it; docs/threat-model.md says what they can hold back and what not.
 */

import type { SocketPlace } from "./socket_path.ts";
import { closeUngatedStorage } from "./ungated.ts";

/** Every kind of right there is. */
const KINDS = ["read", "write", "net", "run", "env", "ffi", "sys", "import"] as const;

/** The Worker's rights: one directory, and exactly the sockets that it may listen on. */
export function workerPermissions(
  directory: string,
  sockets: SocketPlace,
  withHttp: boolean,
): Deno.PermissionOptionsObject {
  const places = sockets.extraDirectory === null
    ? [directory]
    : [directory, sockets.extraDirectory];
  const paths = withHttp ? [sockets.ndjson, sockets.http] : [sockets.ndjson];
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
