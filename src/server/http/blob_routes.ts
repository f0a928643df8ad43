/**
 * `POST /blobs` and `GET /blobs/<hash>`: binary payloads, kept out of the event channel.
 *
 * Invariant: a body is streamed either way; no more of it than a chunk is held.
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
        const announced = Number(request.headers.get("content-length") ?? 0);
        const stored = await invokeOutside(
          PUT,
          { services, caller },
          () => blobs.put(request.body ?? nothing(), announced, caller.principal!.tokenId),
        );
        metrics.bytesReceived += stored.bytes;
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
        const { bytes, content } = await invokeOutside(
          GET,
          { services, caller },
          () => find(blobs, { request, params, tokenId: caller.principal!.tokenId }),
        );
        if (content !== null) metrics.bytesSent += bytes;
        return new Response(content === null ? null : answers.stream(content, blobs.idleMs), {
          headers: {
            "content-type": "application/octet-stream",
            "content-length": String(bytes),
            etag: `"${params.hash}"`,
            // What is at a hash never changes; what it is, nobody here vouches for.
            "cache-control": "private, immutable",
            "x-content-type-options": "nosniff",
          },
        });
      },
    },
  ];
}

/** For `HEAD` no file is opened: nobody would read it, and so nobody close it. */
function find(
  blobs: Blobs,
  { request, params: { hash = "" }, tokenId }: Pick<Exchange, "request" | "params"> & {
    readonly tokenId: string;
  },
): { readonly bytes: number; readonly content: ReadableStream<Uint8Array> | null } {
  return request.method === "HEAD"
    ? { ...blobs.find(hash), content: null }
    : blobs.open(hash, tokenId);
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
