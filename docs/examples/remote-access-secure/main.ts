/**
 * A program that others may configure, if they know its token: one record may be set, the other only read.
 *
 * It plays both sides and prints what each sees: a client without the token, one with it, and the program.
 */

import { postern } from "@postern/postern/embed";
import { z } from "zod";

const authToken = Deno.env.get("AIMX_TOKEN") ?? crypto.randomUUID();

await using db = await postern()
  .withRemoteAccess({ socketPath: Deno.args[0], policy: "read_write", authToken })
  .allowWriteTo("ConfigRecord")
  .record("ConfigRecord", z.object({ interval_ms: z.int().min(10) }))
  .record("SensorData", z.object({ celsius: z.number() }))
  .build();
await db.record("ConfigRecord").set({ interval_ms: 1000 });
await db.record("SensorData").set({ celsius: 21.5 });

await using changes = db.record("ConfigRecord").watch({ sendInitial: false });

console.log("without a token:", await answersTo([{ hello: { version: "1.0" } }]));
console.log("a wrong one:", await answersTo([{ hello: { version: "1.0", auth_token: "guess" } }]));
const set = (name: string, value: unknown) => ({
  id: 1,
  method: "record.set",
  params: { name, value },
});
console.log(
  "with it:",
  await answersTo([
    { hello: { version: "1.0", auth_token: authToken } },
    set("SensorData", { celsius: 99 }),
    set("ConfigRecord", { interval_ms: 1 }),
    set("ConfigRecord", { interval_ms: 50 }),
  ]),
);

const { value: change } = await changes.next();
console.log("the program sees:", JSON.stringify(change?.value));
console.log("nobody has touched:", JSON.stringify((await db.record("SensorData").get()).value));

/** What a client that says these lines hears: the code of an error, or the field that the answer has. */
async function answersTo(requests: readonly object[]): Promise<string> {
  const connection = await Deno.connect({ transport: "unix", path: db.socketPath });
  const said = requests.map((request) => `${JSON.stringify(request)}\n`).join("");
  await connection.write(new TextEncoder().encode(said));
  await connection.closeWrite();
  const heard = await new Response(connection.readable).text();
  return heard.trimEnd().split("\n").map((line) => {
    const answer = JSON.parse(line);
    return answer.error?.code ?? (answer.welcome ? "welcome" : "ok");
  }).join(", ");
}
