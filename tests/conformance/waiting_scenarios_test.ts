/** What is answered when somebody else has done something: the same scenarios, played in each dialect. */

import { assertEquals } from "@std/assert";
import type { Line, RawClient } from "../support/raw_client.ts";
import type { Outcome, Speaker } from "./dialects.ts";
import { resultOf, scenario, type Scene } from "./scenario.ts";

const NOT_REMOTE = { AimX: "remote access is for records" };

/** A client that says who it is: a new one, or one that has been here. */
async function client(scene: Scene, known: Line = {}): Promise<[Speaker, Line]> {
  const speaker = await scene.another();
  const who = { client_kind: "tool", ...known };
  const { client_id = known.client_id } = resultOf(await speaker.call("system.hello", who));
  return [speaker, { client_id }];
}

async function rpc(client: RawClient, method: string, params: Line): Promise<void> {
  await client.send({ jsonrpc: "2.0", id: method, method, params });
  assertEquals((await client.next()).error, undefined);
}

/** Provides `math.add` on postern.sock, and answers the next call when it is told to. */
async function provider({ daemon }: Scene): Promise<RawClient> {
  const math = await daemon.connect();
  await rpc(math, "auth.login", { token: daemon.token });
  await rpc(math, "service.register", { name: "math", methods: [{ name: "add" }] });
  return math;
}

async function answerNext(math: RawClient): Promise<void> {
  const { id, params } = await math.next();
  await math.send({ jsonrpc: "2.0", id, result: { sum: params.a + params.b } });
}

/** What AXON keeps apart. */
function resultIn(outcome: Outcome): Line {
  const result = resultOf(outcome);
  return result.result ?? result;
}

scenario("permission.wait is answered when the request is decided", async (scene) => {
  const [requester, known] = await client(scene);
  const asked = await requester.call("permission.request", { tool: "rm", input: {} });
  const { request_id } = resultOf(asked);
  const [decider] = await client(scene, known);
  const waited = requester.call("permission.wait", { request_id });
  const answer = { request_id, result: { approve: true } };
  resultOf(await decider.call("permission.answer", answer));
  assertEquals(resultOf(await waited).approved, true);
}, { except: { ...NOT_REMOTE, AXON: "its hello names a consumer, no client" } });

scenario("a service's method is answered when its provider answers", async (scene) => {
  const math = await provider(scene);
  for (
    const [method, params] of [
      ["service.call", { service: "math", method: "add", params: { a: 2, b: 3 } }],
      ["math.add", { a: 2, b: 3 }],
    ] as const
  ) {
    if (method === "math.add" && scene.dialect === "AXON") continue;
    const called = scene.speaker.call(method, params);
    await answerNext(math);
    assertEquals(resultIn(await called).sum, 5);
  }
}, { except: NOT_REMOTE });
