/** What comes in as one piece, by stdin or from a file that was named. */

import { PosternError } from "../client/errors.ts";
import { UsageError } from "./exit_codes.ts";

/** Larger than any request may be. */
const MAX_INPUT_BYTES = 64 * 1024 * 1024;

/** All of stdin as text; at most 64 MiB. */
export async function readAllInput(
  input: ReadableStream<Uint8Array> = Deno.stdin.readable,
): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const parts: string[] = [];
  let size = 0;
  try {
    for await (const chunk of input) {
      size += chunk.length;
      if (size > MAX_INPUT_BYTES) {
        throw new PosternError(
          "too_large",
          `reading stdin: it has more than ${MAX_INPUT_BYTES} bytes`,
        );
      }
      parts.push(decoder.decode(chunk, { stream: true }));
    }
    return parts.join("") + decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError("stdin is not UTF-8");
    throw error;
  }
}

/**
 * A file that the command line names, as text.
 *
 * @throws {UsageError} when it cannot be read, or has more than `limit` bytes.
 */
export function readNamedFile(path: string, limit: number): string {
  try {
    const { size } = Deno.statSync(path);
    if (size <= limit) return Deno.readTextFileSync(path);
  } catch (error) {
    throw new UsageError(`the file cannot be read: ${(error as Error).message}`);
  }
  throw new UsageError(`${path} has more than ${limit} bytes`);
}
