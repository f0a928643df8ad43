/**
 * The content of a file as a stream that does not wait for ever.
 *
 * Invariant: the file is closed and `ended` called, once, when all of it was taken, when the reader goes away, or when
 * the reader takes nothing for `idleMs`.
 */

import { PosternError } from "../core/errors.ts";

/** A slow reader has to take so much within the idle time. */
const PART_BYTES = 65_536;

export interface FileStreamOptions {
  /** What a refusal is about, such as `GET /blobs`. */
  readonly of: string;
  readonly idleMs: number;
  /** Called when the file is closed. */
  readonly ended: () => void;
}

/** The stream; it owns the file from now on. */
export function streamOf(
  file: Deno.FsFile,
  { of, idleMs, ended }: FileStreamOptions,
): ReadableStream<Uint8Array> {
  let isOpen = true;
  let timer: ReturnType<typeof setTimeout>;
  const end = () => {
    clearTimeout(timer);
    if (!isOpen) return;
    isOpen = false;
    file.close();
    ended();
  };
  const awaitReader = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    timer = setTimeout(() => {
      end();
      controller.error(new PosternError("timeout", `${of}: nothing was taken for ${idleMs} ms`));
    }, idleMs);
  };
  return new ReadableStream<Uint8Array>({
    start: awaitReader,
    async pull(controller) {
      clearTimeout(timer);
      const part = new Uint8Array(PART_BYTES);
      try {
        const count = await file.read(part);
        if (!isOpen) return;
        if (count === null) {
          end();
          return controller.close();
        }
        controller.enqueue(part.subarray(0, count));
        awaitReader(controller);
      } catch (error) {
        // A reader that went away meanwhile has closed the file.
        if (!isOpen) return;
        end();
        controller.error(error);
      }
    },
    cancel: end,
  }, { highWaterMark: 0 });
}
