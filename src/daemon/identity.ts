/**
 * The daemon's identity: an Ed25519 key pair that is made once and kept.
 *
 * `identity.key` (PKCS#8, PEM) is the truth; `identity.pub` (SPKI, PEM) is written from it whenever it differs,
 * for other tools to read. The agent_id names the public key, so it changes only with the key.
 */

import { join } from "@std/path/posix";
import { PosternError } from "../core/errors.ts";
import { readOwnFile, replaceOwnFile } from "./safe_file.ts";

/** Who the daemon is. */
export interface Identity {
  /** `ed25519.` and 32 hex digits: the first 16 bytes of the public key's SHA-256. */
  readonly agentId: string;
  /** The raw public key, base64. */
  readonly publicKey: string;
}

/**
 * The identity in a directory, which is made if it is missing.
 *
 * @param directory The runtime directory.
 * @param uid The user the files must belong to; `null` where the platform knows none.
 * @returns The identity; the private key stays in its file.
 * @throws {PosternError} `permission_denied` for a file that is not a private one of ours, `invalid_params` when it
 *   holds no key.
 */
export async function loadOrCreateIdentity(
  directory: string,
  uid: number | null,
): Promise<Identity> {
  const path = join(directory, "identity.key");
  const raw = await publicPart(readOwnFile(path, { uid, limit: 4096 }) ?? await create(path, uid));
  await publish(join(directory, "identity.pub"), raw, uid);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", raw));
  return { agentId: `ed25519.${digest.slice(0, 16).toHex()}`, publicKey: raw.toBase64() };
}

async function create(path: string, uid: number | null): Promise<string> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const key = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
  const text = pem("PRIVATE KEY", key);
  replaceOwnFile(path, text, { uid });
  return text;
}

async function publicPart(text: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const body = text.replaceAll(/-----[A-Z ]+-----|\s/g, "");
    const bytes = Uint8Array.fromBase64(body);
    const key = await crypto.subtle.importKey("pkcs8", bytes, "Ed25519", true, ["sign"]);
    const { x } = await crypto.subtle.exportKey("jwk", key);
    return Uint8Array.fromBase64(x ?? "", { alphabet: "base64url" });
  } catch {
    // What was tried to be parsed is a secret: nothing of it goes into the message.
    throw new PosternError(
      "invalid_params",
      "reading the identity: identity.key must hold an Ed25519 private key (PKCS#8, PEM); put a copy back, or " +
        "remove it to have a new one made, which is another agent_id",
    );
  }
}

async function publish(path: string, raw: Uint8Array<ArrayBuffer>, uid: number | null) {
  const key = await crypto.subtle.importKey("raw", raw, "Ed25519", true, ["verify"]);
  const text = pem("PUBLIC KEY", new Uint8Array(await crypto.subtle.exportKey("spki", key)));
  const options = { uid, mode: 0o644, limit: 4096 };
  if (readOwnFile(path, options) !== text) replaceOwnFile(path, text, options);
}

function pem(label: string, bytes: Uint8Array): string {
  return `-----BEGIN ${label}-----\n${bytes.toBase64()}\n-----END ${label}-----\n`;
}
