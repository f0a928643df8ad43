/**
 * SHA-256 without waiting and in parts, which the platform's own interface lacks.
 *
 * Loaded with its first use: a daemon that never hashes does without its 10 MiB.
 */

/** A hash of what comes in parts. */
export interface Sha256 {
  update(part: string | Uint8Array): Sha256;
  digest(encoding: "hex"): string;
}

interface NodeProcess {
  getBuiltinModule(name: "node:crypto"): { createHash(algorithm: "sha256"): Sha256 };
}

/** Begins a hash. */
export function sha256(): Sha256 {
  const { process } = globalThis as unknown as { readonly process: NodeProcess };
  return process.getBuiltinModule("node:crypto").createHash("sha256");
}
