/** How a command ends, as its exit code: the contract that scripts rely on. */

import { ConnectionError, PosternError } from "../client/errors.ts";

/** Every exit code there is. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  noDaemon: 3,
  /** We may not, or what we asked for was not approved. */
  refused: 4,
  /** `with-lease`: somebody else holds the lease. */
  leaseHeld: 75,
  /** `with-lease`: the lease was lost while the program ran. */
  leaseLost: 76,
  /** `with-lease`: the program cannot be run, or is not there; as shells have it. */
  notRunnable: 126,
  notFound: 127,
  /** Ctrl-C, and SIGTERM, where a command's outcome is what it waits for. */
  interrupted: 130,
  terminated: 143,
} as const;

/** The command line cannot be understood. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const REFUSALS: ReadonlySet<string> = new Set([
  "auth_required",
  "auth_failed",
  "permission_denied",
  "not_originator",
]);

/** The exit code for what was thrown. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof ConnectionError) return error.noDaemon ? EXIT.noDaemon : EXIT.failed;
  return isRefusal(error) ? EXIT.refused : EXIT.failed;
}

/** Whether the daemon, or the system, says that we may not. */
function isRefusal(error: unknown): boolean {
  return error instanceof PosternError && REFUSALS.has(error.code);
}
