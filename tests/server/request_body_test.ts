/** How long a body may take whose sender has shown a token. */

import { assertRejects } from "@std/assert";
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
