/** Randomness and hashes for what must stay secret. */

import type { Secrets } from "../core/ports.ts";
import { sha256 } from "./sha256.ts";

/** 256 bits at a time; SHA-256. Hashing without waiting is what the platform's own interface lacks. */
export const SECRETS: Secrets = {
  random: () => crypto.getRandomValues(new Uint8Array(32)).toHex(),
  hash: (text) => sha256().update(text).digest("hex"),
};
