/** `POST /blobs` and `GET /blobs/<hash>`: binary payloads, kept out of the event channel. */

import { requireScope } from "../../operations/registry.ts";
import { jsonResponse, type Route } from "./route.ts";

/** What became of an upload. */
export interface StoredBlob {
  /** SHA-256 of the content, hex. */
  readonly hash: string;
  readonly bytes: number;
}

/** Where blobs are kept. */
export interface Blobs {
  /** @throws PosternError `too_large`, `too_many`, `storage_full` */
  put(content: AsyncIterable<Uint8Array>): Promise<StoredBlob>;
  /** @throws PosternError `not_found` */
  open(hash: string): { readonly bytes: number; readonly content: ReadableStream<Uint8Array> };
}

/** The routes of blobs. */
export function blobRoutes(blobs: Blobs): Route[] {
  return [
    {
      method: "POST",
      path: "/blobs",
      async handle({ request, caller }) {
        requireScope("POST /blobs", "send", caller.principal);
        const stored = await blobs.put(request.body ?? (async function* () {})());
        const blob = { ...stored, url: `/blobs/${stored.hash}` };
        const response = jsonResponse({ blob }, 201);
        response.headers.set("location", blob.url);
        return response;
      },
    },
    {
      method: "GET",
      path: "/blobs/:hash",
      handle({ params, caller }) {
        requireScope("GET /blobs", "read", caller.principal);
        const { bytes, content } = blobs.open(params.hash!);
        return new Response(content, {
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
