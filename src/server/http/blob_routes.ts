/**
 * `POST /blobs` and `GET /blobs/<hash>`: binary payloads, kept out of the event channel.
 *
 * Invariant: a body is streamed either way; no more of it than a chunk is held. Its bytes are counted as they pass,
 * whatever becomes of the rest.
 */

import { invokeOutside } from "../../operations/registry.ts";
import type { Services } from "../../operations/operation.ts";
import { type Exchange, jsonResponse, type Route } from "./route.ts";

/** What became of an upload. */
export interface StoredBlob {
  /** SHA-256 of the content, hex. */
  readonly hash: string;
  readonly bytes: number;
}

/** A blob to be read. */
export interface OpenBlob {
  readonly bytes: number;
  readonly content: ReadableStream<Uint8Array>;
}

/** Where blobs are kept. */
export interface Blobs {
  /** So long may a reader take nothing. */
  readonly idleMs: number;
  /**
   * @param announcedBytes What the client says it will send; 0 if it does not.
   * @param tokenId Whose it is: one token may not take all places.
   * @throws PosternError `too_large`, `too_many`, `storage_full`, `timeout`; `invalid_request` when it is cut off.
   */
  put(
    content: AsyncIterable<Uint8Array>,
    announcedBytes: number,
    tokenId: string,
  ): Promise<StoredBlob>;
  /** @throws PosternError `not_found`; `invalid_params` for what is no hash. */
  find(hash: string): { readonly bytes: number };
  /** @throws PosternError as `find`, `too_many` */
  open(hash: string, tokenId: string): OpenBlob;
}

const PUT = { name: "blob.put", scope: "send", what: "POST /blobs" } as const;
const GET = { name: "blob.get", scope: "read", what: "GET /blobs" } as const;

/** The routes of blobs. */
export function blobRoutes(blobs: Blobs, services: Services): Route[] {
  const { metrics } = services;
  return [
    {
      method: "POST",
      path: "/blobs",
      async handle({ request, caller }) {
        const received = ({ body }: Request) =>
          body === null ? nothing() : counted(body, (bytes) => metrics.bytesReceived += bytes);
        const announced = Number(request.headers.get("content-length") ?? 0);
        const stored = await invokeOutside(
          PUT,
          { services, caller },
          () => blobs.put(received(request), announced, caller.principal!.tokenId),
        );
        const blob = { ...stored, url: `/blobs/${stored.hash}` };
        const response = jsonResponse({ blob }, 201);
        response.headers.set("location", blob.url);
        return response;
      },
    },
    {
      method: "GET",
      path: "/blobs/:hash",
      async handle({ request, params, caller, answers }) {
        const etag = `"${params.hash}"`;
        const isKnown = isAmong(etag, request.headers.get("if-none-match"));
        const isWanted = request.method !== "HEAD" && !isKnown;
        const { bytes, content } = await invokeOutside(
          GET,
          { services, caller },
          () => find(blobs, { isWanted, params, tokenId: caller.principal!.tokenId }),
        );
        // What is at a hash never changes.
        const unchanging = { etag, "cache-control": "private, max-age=31536000, immutable" };
        if (isKnown) return new Response(null, { status: 304, headers: unchanging });
        const passing = content && counted(content, (bytes) => metrics.bytesSent += bytes);
        return new Response(passing && answers.stream(passing, blobs.idleMs), {
          headers: {
            ...unchanging,
            "content-type": "application/octet-stream",
            "content-length": String(bytes),
            // What it is, nobody here vouches for.
            "x-content-type-options": "nosniff",
          },
        });
      },
    },
  ];
}

/** Where the content is not wanted no file is left open: nobody would read it, and so nobody close it. */
function find(
  blobs: Blobs,
  { isWanted, params: { hash = "" }, tokenId }: Pick<Exchange, "params"> & {
    readonly isWanted: boolean;
    readonly tokenId: string;
  },
): { readonly bytes: number; readonly content: ReadableStream<Uint8Array> | null } {
  return isWanted ? blobs.open(hash, tokenId) : { ...blobs.find(hash), content: null };
}

/** Whether an `If-None-Match` names it; weak or not is the same where nothing changes. */
function isAmong(etag: string, given: string | null): boolean {
  if (given === null) return false;
  if (given.trim() === "*") return true;
  return given.split(",").some((one) => one.trim().replace(/^W\//, "") === etag);
}

/** The same content; `count` is told the bytes of each part that is taken. */
function counted(
  content: ReadableStream<Uint8Array>,
  count: (bytes: number) => void,
): ReadableStream<Uint8Array> {
  const reader = content.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) return controller.close();
      count(value.byteLength);
      controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
