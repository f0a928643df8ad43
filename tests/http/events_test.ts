/** `GET /events`: replay and what comes, filters, resuming, gaps, resets, heartbeats, the cap, and its end. */

import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { range } from "../support/expect.ts";
import { startTestDaemon } from "../support/in_process.ts";
import type { Frame, HttpClient } from "../support/http_client.ts";

const seqs = (frames: readonly Frame[]) => frames.map(({ data }) => data.seq);

/** What there is, read to the end. */
async function replayed(
  http: HttpClient,
  query = "",
  headers: Record<string, string> = {},
): Promise<Frame[]> {
  const stream = await http.events(`?follow=0${query}`, { headers });
  return await stream.rest();
}

Deno.test("a stream replays from the beginning, then tells what comes, each event once", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(3);
  const events = await daemon.http().events();
  assertEquals(events.headers.get("content-type"), "text/event-stream");
  assertEquals(events.headers.get("cache-control"), "no-store");
  const old = await events.many(3);
  await daemon.fill(2);
  const frames = [...old, ...await events.many(2)];
  assertEquals(seqs(frames), range(1, 5));
  assertEquals(frames.map(({ id }) => id), ["1", "2", "3", "4", "5"]);
  assertEquals(frames.map(({ data }) => data.replay), [true, true, true, false, false]);
  for (const { event, data } of frames) {
    assertEquals(event, "message");
    assertEquals(Object.keys(data), ["seq", "buffered_at_ms", "replay", "envelope"]);
    assertEquals(data.envelope.kind, "notify");
  }
});

Deno.test("since is the last seq that the reader has, and Last-Event-ID wins", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(5);
  const http = daemon.http();
  assertEquals(seqs(await replayed(http)), range(1, 5));
  assertEquals(seqs(await replayed(http, "&since=")), range(1, 5));
  assertEquals(seqs(await replayed(http, "&since=3")), [4, 5]);
  assertEquals(seqs(await replayed(http, "&since=5")), []);
  assertEquals(seqs(await replayed(http, "&since=1", { "last-event-id": "4" })), [5]);
});

Deno.test("a reader that resumes by the last id misses nothing and gets nothing twice", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  let last = "0";
  const got: number[] = [];
  for (let i = 0; i < 5; i++) {
    const filling = daemon.fill(20);
    const events = await http.events("", { headers: { "last-event-id": last } });
    for (const { id, data } of await events.many(13)) {
      last = id!;
      got.push(data.seq);
    }
    events.close();
    await filling;
  }
  assertEquals(got, range(1, 65));
});

Deno.test("kinds and topics let through what they name", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const sent: [string, string | undefined][] = [
    ["query", "a.b"],
    ["notify", "a.b"],
    ["query", "b.a"],
    ["notify", undefined],
    ["query", "a.c"],
  ];
  for (const [kind, topic] of sent) {
    await http.call("event.send", { kind, payload: 1, ...(topic === undefined ? {} : { topic }) });
  }
  assertEquals(seqs(await replayed(http, "&kinds=query")), [1, 3, 5]);
  assertEquals(seqs(await replayed(http, "&kinds=query,notify&topics=a.b,b.*")), [1, 2, 3]);
  assertEquals(seqs(await replayed(http, "&topics=a.%3E&kinds=query")), [1, 5]);
  assertEquals(seqs(await replayed(http, "&kinds=&topics=")), range(1, 5));
  const live = await http.events("?since=5&topics=a.*");
  await http.call("event.send", { kind: "notify", payload: 1, topic: "b.b" });
  await http.call("event.send", { kind: "notify", payload: 1, topic: "a.b" });
  assertEquals((await live.next()).data.seq, 7);
});

Deno.test("follow=0 ends after what is there", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  assertEquals(await replayed(http), []);
  await daemon.fill(500);
  assertEquals(seqs(await replayed(http)), range(1, 500));
  assertEquals((await http.call("system.status")).connections, 0);
});

Deno.test("a query that is not right is 400 and names the parameter", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const cases: [string, string][] = [
    ["since=-1", "since"],
    ["since=x", "since"],
    ["since=1.5", "since"],
    ["since=99999999999999999", "since"],
    ["kinds=gossip", "kinds"],
    ["topics=a..b", "topics"],
    ["follow=yes", "follow"],
  ];
  for (const [query, field] of cases) {
    const { status, body } = await http.ask(`/events?${query}`);
    assertEquals([status, body.error.code], [400, "invalid_params"], query);
    assertEquals(body.error.field.split(".")[0], field);
  }
  assertEquals((await http.ask("/events", { headers: { "last-event-id": "x" } })).status, 400);
  const { body } = await http.ask("/events?since=-1");
  assertEquals(
    body.error.message,
    'GET /events: since: must be a seq, 0 to 9007199254740991, got "-1"',
  );
  assertEquals((await http.call("system.status")).connections, 0);
});

Deno.test("what retention dropped is one gap before what is left, and its id resumes behind it", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 5 } } });
  await daemon.fill(8);
  const http = daemon.http();
  const [gap, ...messages] = await replayed(http);
  assertEquals(gap, { event: "gap", id: "3", data: { from_seq: 1, to_seq: 3 } });
  assertEquals(seqs(messages), range(4, 8));
  assertEquals(seqs(await replayed(http, "&since=3")), range(4, 8));
  assertEquals((await replayed(http, "", { "last-event-id": "1" }))[0]!.data, {
    from_seq: 2,
    to_seq: 3,
  });
});

Deno.test("a gap with nothing behind it is told as well", async () => {
  await using daemon = await startTestDaemon({ config: { ipc: { buffer_size: 0 } } });
  await daemon.fill(4);
  assertEquals(await replayed(daemon.http(), "&since=1"), [
    { event: "gap", id: "4", data: { from_seq: 2, to_seq: 4 } },
  ]);
  const live = await daemon.http().events("?since=4");
  await daemon.fill(1);
  assertEquals((await live.next()).data.seq, 5);
});

Deno.test("a since beyond the head, or another epoch, is one reset and then everything", async () => {
  await using daemon = await startTestDaemon();
  await daemon.fill(2);
  const http = daemon.http();
  const other = "00000000-0000-4000-8000-000000000000";
  for (const query of ["&since=99", `&since=1&epoch=${other}`, `&since=99&epoch=${daemon.epoch}`]) {
    const [reset, ...messages] = await replayed(http, query);
    assertEquals(reset, {
      event: "reset",
      id: "0",
      data: { epoch: daemon.epoch, head_seq: 2 },
    }, query);
    assertEquals(seqs(messages), [1, 2]);
  }
  assertEquals(seqs(await replayed(http, `&since=1&epoch=${daemon.epoch}`)), [2]);
  assertEquals((await replayed(http, "", { "last-event-id": "3" }))[0]!.event, "reset");
});

Deno.test("a comment comes at once, and then every heartbeat_secs", async () => {
  await using daemon = await startTestDaemon({ config: { http: { heartbeat_secs: 1 } } });
  const events = await daemon.http().events();
  await events.heartbeats(1);
  const began = performance.now();
  await events.heartbeats(3);
  assertGreaterOrEqual(performance.now() - began, 1500);
});

Deno.test("one more than max_sse_clients is 503, and a place is free when one has gone", async () => {
  await using daemon = await startTestDaemon({ config: { http: { max_sse_clients: 2 } } });
  const http = daemon.http();
  const first = await http.events();
  await http.events();
  const { status, body } = await http.ask("/events");
  assertEquals([status, body.error.code, body.error.limit], [503, "too_many", 2]);
  // What is refused takes no place, nor does what is not right.
  await http.ask("/events?follow=0");
  assertEquals((await http.call("system.status")).connections, 2);
  first.close();
  while ((await http.call("system.status")).connections === 2) { /* until it is noticed */ }
  const third = await http.events();
  await daemon.fill(1);
  assertEquals((await third.next()).data.seq, 1);
});

Deno.test("the default cap is 64", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  await Promise.all(range(1, 64).map(() => http.events()));
  assertEquals((await http.ask("/events")).status, 503);
});

Deno.test("streams count among limits.max_connections", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { max_connections: 2 } } });
  const http = daemon.http();
  await http.events();
  await http.events();
  const { status, body } = await http.ask("/events");
  assertEquals([status, body.error.code], [503, "too_many"]);
  const client = await daemon.connect();
  assertEquals((await client.next()).error, "too_many");
});

Deno.test("a stop of the daemon ends the streams, with what was told before", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const streams = await Promise.all(range(1, 10).map(() => http.events()));
  await daemon.fill(3);
  for (const stream of streams) await stream.many(3);
  await daemon.stop();
  for (const stream of streams) assertEquals(await stream.rest(), []);
  await daemon.start();
  assertEquals(seqs(await replayed(daemon.http(), "&since=1")), [2, 3]);
});

Deno.test("an event of any text is one frame", async () => {
  await using daemon = await startTestDaemon();
  const http = daemon.http();
  const payload = "a\n\nb\r\nevent: gap\n\u2028\u0085:\u0000é";
  await http.call("event.send", { kind: "notify", payload });
  const [frame] = await replayed(http);
  assertEquals(frame!.data.envelope.payload, payload);
});
