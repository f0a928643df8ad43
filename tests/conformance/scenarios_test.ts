/**
 * What holds in every dialect of the log and its consumers: the same scenarios, played in each.
 *
 * A scenario speaks of operations, results and our error codes; how a dialect says them is its speaker's.
 */

import { assertEquals } from "@std/assert";
import { range } from "../support/expect.ts";
import type { Line } from "../support/raw_client.ts";
import type { Outcome, Speaker } from "./dialects.ts";
import { expectRefused, resultOf, scenario, subscriptionScenario } from "./scenario.ts";

/** What AimX never does. */
const NO_CONTROL = { AimX: "no global control in AimX" };

const MESSAGE = { kind: "notify", payload: { text: "hello" } };

function send(speaker: Speaker, more: Line = {}): Promise<Outcome> {
  return speaker.call("event.send", { ...MESSAGE, ...more });
}

scenario(
  "before a token ping and status are answered, everything else is auth_required",
  async (scene) => {
    const stranger = await scene.another({ token: false });
    assertEquals(resultOf(await stranger.call("system.ping")).pong, true);
    const { connections } = resultOf(await stranger.call("system.status"));
    assertEquals(connections, scene.byRequests ? 0 : 2);
    const operations = ["event.inbox", "event.send", "system.whoami", "consumer.list"];
    // AimX refuses it whoever asks.
    if (scene.dialect !== "AimX") operations.push("system.shutdown");
    for (const operation of operations) {
      expectRefused(stranger, await stranger.call(operation, MESSAGE), "auth_required");
    }
  },
);

scenario("a wrong token is auth_failed, and the right one still works", async (scene) => {
  const stranger = await scene.another({ token: false });
  const wrong = { token: "0".repeat(64) };
  expectRefused(stranger, await stranger.call("auth.login", wrong), "auth_failed");
  assertEquals(
    resultOf(await stranger.call("auth.login", { token: scene.daemon.token })).scopes.length,
    5,
  );
});

scenario("what is sent is in the inbox until it is acknowledged", async ({ speaker }) => {
  const sent = resultOf(await send(speaker, { topic: "a.b" }));
  const [message] = resultOf(await speaker.call("event.inbox")).messages;
  assertEquals([message.seq, message.envelope.id], [sent.seq, sent.msg_id]);
  assertEquals([message.envelope.topic, message.envelope.payload], ["a.b", MESSAGE.payload]);
  assertEquals(
    resultOf(await speaker.call("event.ack", { up_to_seq: sent.seq })).acked_seq,
    sent.seq,
  );
  const after = resultOf(await speaker.call("event.inbox"));
  assertEquals([after.messages, after.next_seq, after.has_more], [[], null, false]);
});

scenario("an ack of what was not delivered is ack_out_of_range", async ({ speaker }) => {
  resultOf(await send(speaker));
  expectRefused(speaker, await speaker.call("event.ack", { up_to_seq: 1 }), "ack_out_of_range");
});

scenario(
  "pipelined requests are answered in order, with their effects in order",
  async ({ speaker }) => {
    const calls = range(1, 50).flatMap((payload) =>
      [["event.send", { ...MESSAGE, payload }], ["system.ping", {}]] as [string, Line][]
    );
    const outcomes = await speaker.callAll([...calls, ["event.inbox", { limit: 1000 }]]);
    const { messages } = resultOf(outcomes.at(-1)!);
    assertEquals(messages.map(({ envelope }: Line) => envelope.payload), range(1, 50));
  },
);

scenario("events together are stored together, with their ids in order", async ({ speaker }) => {
  const events = [1, 2, 3].map((payload) => ({ kind: "query", payload }));
  const result = resultOf(await speaker.call("event.send", { events }));
  assertEquals(result.events.map(({ seq }: Line) => seq), [1, 2, 3]);
  const wrong = [...events, { kind: "gossip", payload: 4 }];
  expectRefused(speaker, await speaker.call("event.send", { events: wrong }), "invalid_params");
  assertEquals(resultOf(await speaker.call("event.read")).events.length, 3);
});

scenario("a repeated dedup_key answers the first send and appends nothing", async ({ speaker }) => {
  const first = resultOf(await send(speaker, { dedup_key: "job" }));
  const again = resultOf(await send(speaker, { dedup_key: "job", payload: "other" }));
  assertEquals(again, { ...first, duplicate: true });
  assertEquals(resultOf(await speaker.call("event.read")).events.length, 1);
});

subscriptionScenario(
  "a subscription replays, then tells what comes, each event once",
  async ({ speaker, daemon }) => {
    await daemon.fill(3);
    const opened = resultOf(await speaker.call("event.subscribe"));
    await daemon.fill(2);
    const told = [];
    for (let i = 0; i < 5; i++) told.push(await speaker.event());
    assertEquals(told.map(({ seq }) => seq), range(1, 5));
    assertEquals(told.map(({ replay }) => replay), [true, true, true, false, false]);
    assertEquals(typeof opened.subscription_id, "string");
    assertEquals([opened.replayed, opened.replay_to_seq], [3, 3]);
  },
);

subscriptionScenario(
  "nothing of a subscription follows the reply that ends it",
  async ({ speaker, daemon }) => {
    const { subscription_id } = resultOf(await speaker.call("event.subscribe"));
    await daemon.fill(1);
    await speaker.event();
    resultOf(await speaker.call("event.unsubscribe", { subscription_id }));
    await daemon.fill(3);
    resultOf(await speaker.call("system.ping"));
    assertEquals(speaker.keptEvents, 0);
    expectRefused(
      speaker,
      await speaker.call("event.unsubscribe", { subscription_id }),
      "not_found",
    );
  },
);

subscriptionScenario("kinds and topics let through what they name", async ({ speaker }) => {
  resultOf(await speaker.call("event.subscribe", { kinds: ["query"], topics: ["a.*"] }));
  await send(speaker, { kind: "query", topic: "a.b" });
  await send(speaker, { kind: "notify", topic: "a.b" });
  await send(speaker, { kind: "query", topic: "b.a" });
  await send(speaker, { kind: "query", topic: "a.c" });
  assertEquals([(await speaker.event()).seq, (await speaker.event()).seq], [1, 4]);
});

subscriptionScenario(
  "what retention dropped shows as one gap in the inbox and in the next event",
  async (scene) => {
    const { speaker, daemon } = scene;
    await daemon.fill(8);
    assertEquals(resultOf(await speaker.call("event.inbox")).gap, { from_seq: 1, to_seq: 3 });
    resultOf(await speaker.call("event.subscribe"));
    const first = await speaker.event();
    assertEquals([first.seq, first.gap], [4, { from_seq: 1, to_seq: 3 }]);
    assertEquals((await speaker.event()).gap, undefined);
  },
  { config: { ipc: { buffer_size: 5 } } },
);

scenario("a consumer goes on where it acked after a restart of the daemon", async (scene) => {
  await scene.daemon.fill(4);
  resultOf(await scene.speaker.call("event.inbox", { consumer: "mine" }));
  resultOf(await scene.speaker.call("event.ack", { consumer: "mine", up_to_seq: 2 }));
  await scene.daemon.restart();
  const speaker = await scene.another();
  const { messages } = resultOf(await speaker.call("event.inbox", { consumer: "mine" }));
  assertEquals(messages.map(({ seq }: Line) => seq), [3, 4]);
});

scenario("consumers are listed with their lag, and can be removed", async ({ speaker, daemon }) => {
  await daemon.fill(3);
  resultOf(await speaker.call("event.inbox", { consumer: "mine" }));
  resultOf(await speaker.call("event.ack", { consumer: "mine", up_to_seq: 1 }));
  const { consumers } = resultOf(await speaker.call("consumer.list"));
  const mine = consumers.find(({ name }: Line) => name === "mine");
  assertEquals([mine.acked_seq, mine.delivered_seq, mine.lag], [1, 3, 2]);
  resultOf(await speaker.call("consumer.remove", { consumer: "mine" }));
  expectRefused(speaker, await speaker.call("consumer.remove", { consumer: "mine" }), "not_found");
}, { except: NO_CONTROL });

scenario("unknown operations and wrong parameters are told apart", async ({ speaker }) => {
  expectRefused(speaker, await speaker.call("no.such"), "unknown_operation");
  for (
    const params of [{ limit: 0 }, { limit: "5" }, { kinds: ["gossip"] }, { topics: ["a..b"] }]
  ) {
    expectRefused(speaker, await speaker.call("event.inbox", params), "invalid_params");
  }
  expectRefused(speaker, await speaker.call("event.read", { after: 99 }), "invalid_params");
});

scenario(
  "another peer is peer_not_found, the daemon's own topics are permission_denied",
  async ({ speaker }) => {
    expectRefused(speaker, await send(speaker, { to: "ed25519.0" }), "peer_not_found");
    expectRefused(speaker, await send(speaker, { topic: "turn.started" }), "permission_denied");
    assertEquals(resultOf(await speaker.call("peer.list")).peers, []);
  },
);

scenario("a batch of events over 512 KiB is too_large and stores nothing", async ({ speaker }) => {
  const events = range(1, 6).map(() => ({ kind: "notify", payload: "x".repeat(100_000) }));
  expectRefused(speaker, await speaker.call("event.send", { events }), "too_large");
  assertEquals(resultOf(await speaker.call("event.read")).events, []);
});

scenario("the operations describe themselves with JSON Schemas", async ({ speaker }) => {
  const { operations } = resultOf(await speaker.call("system.operations"));
  const found = operations.find(({ name }: Line) => name === "event.send");
  assertEquals([found.scope, found.params.type, found.returns.type], ["send", "object", "object"]);
});

scenario("a shutdown is answered, and the daemon ends", async ({ speaker, daemon }) => {
  const { closed } = daemon;
  assertEquals(resultOf(await speaker.call("system.shutdown")), {});
  assertEquals(await closed, "system.shutdown");
}, { except: NO_CONTROL });

scenario(
  "what comes behind a shutdown is answered shutting_down and not carried out",
  async (scene) => {
    const { speaker, daemon } = scene;
    const { closed } = daemon;
    const behind = range(1, 20).map((): [string, Line] => ["event.send", MESSAGE]);
    const [stopped, ...outcomes] = await speaker.callAll([["system.shutdown", {}], ...behind]);
    assertEquals(resultOf(stopped!), {});
    for (const outcome of outcomes) expectRefused(speaker, outcome, "shutting_down");
    await closed;
    await daemon.restart();
    const again = await scene.another();
    assertEquals(resultOf(await again.call("event.read")).events, []);
  },
  { except: NO_CONTROL },
);
