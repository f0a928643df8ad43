/** Randomness and hashes for what must stay secret. */

import { createHash } from "node:crypto";
import type { Secrets } from "../core/ports.ts";

/** 256 bits at a time; SHA-256. Hashing without waiting is what the platform's own interface lacks. */
export const SECRETS: Secrets = {
  random: () => crypto.getRandomValues(new Uint8Array(32)).toHex(),
  hash: (text) => createHash("sha256").update(text).digest("hex"),
};
