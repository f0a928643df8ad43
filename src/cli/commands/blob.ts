/** `postern blob`: binary payloads into the daemon and out of it again, over its HTTP socket. */

import { sha256 } from "../../daemon/sha256.ts";
import { PosternError, shown } from "../../client/errors.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { withHttp } from "../http_socket.ts";

const ACTIONS = ["put", "get"] as const;
const HASH = /^[0-9a-f]{64}$/;

/** What the daemon answers to an upload, and what an envelope refers to it by. */
interface BlobReference {
  readonly hash: string;
  readonly bytes: number;
  readonly url: string;
}

export const command: Command = {
  name: "blob",
  usage: ["put FILE|-", "get HASH [--output FILE]"],
  summary: "Keep a file in the daemon under the SHA-256 of its content, or get it back.",
  details: [
    "Images, archives and the like stay out of messages: `put` prints a hash, a message",
    'refers to it by {"blob":{"hash","bytes","url"}}, which --json prints, and `get` brings',
    "the content. A blob expires with the retention of messages (ipc.buffer_ttl_secs) unless",
    "it is put again; limits.blob_bytes is the most that one may have.",
  ],
  options: [
    { name: "output", short: "o", value: "FILE", help: "write there, not to stdout" },
  ],
  examples: [
    "blob put picture.png",
    "blob put - < src.tar",
    "blob get 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 -o picture.png",
  ],
  arguments: [2, 2],
  choices: ACTIONS,
  async run(context) {
    const [action = "", subject = ""] = context.args;
    if (action === "put") return await put(subject, context);
    if (action === "get") return await get(subject, context);
    throw new UsageError(`blob takes ${ACTIONS.join(" or ")}, not ${shown(action)}`);
  },
};

async function put(name: string, context: Context): Promise<number> {
  if (context.values.text("output") !== undefined) throw new UsageError("--output goes with get");
  const body = contentOf(name);
  const blob = await withHttp(context, "/blobs", async (response) => {
    const { blob } = await response.json();
    return blob as BlobReference;
  }, { method: "POST", body });
  await context.out.result({ blob }, () => blob.hash);
  return EXIT.ok;
}

function contentOf(name: string): ReadableStream<Uint8Array> {
  if (name === "-") return Deno.stdin.readable;
  const file = Deno.openSync(name);
  if (file.statSync().isFile) return file.readable;
  file.close();
  throw new UsageError(`${shown(name)} is no regular file; "-" reads stdin`);
}

async function get(hash: string, context: Context): Promise<number> {
  const { out, values } = context;
  if (!HASH.test(hash)) {
    throw new UsageError(`a hash is 64 hex digits in small letters, not ${shown(hash)}`);
  }
  const file = values.text("output");
  if (file === undefined && out.isTerminal) {
    throw new UsageError("a blob is not written to a terminal; use --output FILE, or a pipe");
  }
  if (file === undefined && out.json) throw new UsageError("--json needs --output FILE");
  return await withHttp(context, `/blobs/${hash}`, async ({ body }) => {
    const content = body ?? new ReadableStream({ start: (controller) => controller.close() });
    if (file === undefined) {
      await checked(content, hash, (bytes) => out.bytes(bytes));
      return EXIT.ok;
    }
    const bytes = await save(content, hash, file);
    if (out.json) await out.object({ hash, bytes, file });
    return EXIT.ok;
  });
}

/** Under its name only once it is whole. @returns its bytes */
async function save(
  content: ReadableStream<Uint8Array>,
  hash: string,
  path: string,
): Promise<number> {
  // A name that nothing has: a file beside it is not ours to overwrite, nor to remove.
  const part = `${path}.${crypto.randomUUID()}.part`;
  using file = Deno.openSync(part, { write: true, createNew: true });
  try {
    const bytes = await checked(content, hash, async (chunk) => {
      for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
    });
    Deno.renameSync(part, path);
    return bytes;
  } catch (error) {
    removeIfThere(part);
    throw error;
  }
}

/** Passes the content on, and fails in the end if it is not what the hash says. */
async function checked(
  content: ReadableStream<Uint8Array>,
  hash: string,
  take: (bytes: Uint8Array) => Promise<void>,
): Promise<number> {
  const digest = sha256();
  let bytes = 0;
  for await (const chunk of content) {
    digest.update(chunk);
    bytes += chunk.byteLength;
    await take(chunk);
  }
  if (digest.digest("hex") === hash) return bytes;
  throw new PosternError("internal", `getting a blob: what came is not what has the hash ${hash}`);
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
