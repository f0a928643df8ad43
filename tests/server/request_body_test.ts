/** How long a body may take whose sender has shown a token, and how large one may be. */

import { assertEquals, assertRejects } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { RequestBodies } from "../../src/server/http/request_body.ts";
import type { Exchange } from "../../src/server/http/route.ts";

/** A request of which a part comes whenever the last one was taken, or none at all. */
function exchange(isSilent: boolean): Pick<Exchange, "request" | "caller"> {
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (isSilent) return await new Promise(() => {});
      await new Promise((turn) => setTimeout(turn, 0));
      controller.enqueue(new Uint8Array([32]));
    },
  });
  const request = new Request("http://localhost/", { method: "POST", body });
  return { request, caller: { principal: {} } as Exchange["caller"] };
}

for (
  const [name, isSilent, times] of [
    ["a body that stands still", true, { idleMs: 5 }],
    ["a body that trickles", false, { wholeMs: 20 }],
  ] as const
) {
  Deno.test(`${name} is given up with timeout`, async () => {
    const bodies = new RequestBodies({ strangerMs: () => 60_000, ...times });
    const reading = bodies.use(exchange(isSilent), 1e9, () => Promise.resolve());
    const error = await assertRejects(() => reading, PosternError, "in time");
    if (error.code !== "timeout") throw error;
  });
}

Deno.test("a body over a token's share is too large by itself, announced or not, but not the owner's", async () => {
  const bodies = new RequestBodies({ strangerMs: () => 60_000 });
  const bytes = 16 * 1024 * 1024 + 1;
  const sent = (tokenId: string, headers: Record<string, string>) => {
    const body = new Uint8Array(bytes).fill(32);
    const request = new Request("http://localhost/", { method: "POST", body, headers });
    const caller = { principal: { tokenId } } as Exchange["caller"];
    return bodies.use({ request, caller }, 1e9, ({ length }) => Promise.resolve(length));
  };
  const ways: Record<string, string>[] = [{}, { "content-length": String(bytes) }];
  for (const headers of ways) {
    const error = await assertRejects(() => sent("named", headers), PosternError, "16777216");
    assertEquals([error.code, error.details?.limit], ["too_large", bytes - 1]);
    assertEquals(await sent("owner", headers), bytes);
  }
});
