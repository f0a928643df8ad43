/**
 * The version of this Postern; the docs check holds it equal to deno.json's.
 *
 * @example
 * ```ts
 * import { VERSION } from "@postern/postern/client";
 * import { assert } from "@std/assert";
 *
 * assert(/^\d+\.\d+\.\d+/.test(VERSION));
 * ```
 */
export const VERSION = "0.1.0";

/** The version of the AXON protocol that this Postern speaks at most; `whoami` names it. */
export const IPC_VERSION = 2;
