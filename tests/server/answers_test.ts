/** Long answers are handed over as they are taken, and whoever does not take them is cut off before they are too many. */

import { assertEquals, assertRejects } from "@std/assert";
import { range } from "../support/expect.ts";
import type { Services } from "../../src/operations/operation.ts";
import { Answers, type TokenAnswers } from "../../src/server/http/answers.ts";
import { blobRoutes, type Blobs } from "../../src/server/http/blob_routes.ts";
import type { Exchange } from "../../src/server/http/route.ts";
import { QUIET_SERVICES } from "../support/quiet_services.ts";

const TEXT = "é".repeat(500_000);

Deno.test("a long answer arrives whole, with its length, and is then forgotten", async () => {
  const answers = new Answers();
  const response = answers.of("t").respond(TEXT, 404);
  assertEquals(answers.count, 1);
  assertEquals([response.status, response.headers.get("content-length")], [404, "1000000"]);
  assertEquals(await response.text(), TEXT);
  assertEquals(answers.count, 0);
});

Deno.test("what a reader cancels is forgotten, and its source ended", async () => {
  const answers = new Answers();
  await answers.of("t").respond(TEXT).body!.cancel();
  let isEnded = false;
  const source = new ReadableStream<Uint8Array>({ cancel: () => void (isEnded = true) });
  await answers.of("t").stream(source).cancel();
  assertEquals([answers.count, isEnded], [0, true]);
});

Deno.test("an answer of which nothing is taken for long is cut off", async () => {
  const answers = new Answers(5);
  const reader = answers.of("t").respond(TEXT).body!.getReader();
  await reader.read();
  await assertRejects(() => reader.closed, Error, "nobody takes");
  assertEquals(answers.count, 0);
});

Deno.test("beyond 64 MiB the one is cut off that was not read from for longest", async () => {
  const answers = new Answers();
  const first = answers.of("t").respond(TEXT);
  const reader = first.body!.getReader();
  const others = range(1, 66).map(() => answers.of("t").respond(TEXT));
  await reader.read();
  const last = answers.of("t").respond(TEXT);
  await assertRejects(() => others[0]!.text(), Error, "nobody takes");
  assertEquals((await last.text()).length, TEXT.length);
  assertEquals(answers.count, 66);
  answers.close();
  await assertRejects(() => reader.closed);
  assertEquals(answers.count, 0);
});

Deno.test("beyond 256 answers the same, however little they hold", async () => {
  const answers = new Answers();
  const streams = range(1, 257).map(() => answers.of("t").stream(new ReadableStream<Uint8Array>()));
  assertEquals(answers.count, 256);
  await assertRejects(() => streams[0]!.getReader().read(), Error, "nobody takes");
  answers.close();
});

Deno.test("beyond the bound it is the token with most of them that loses one, however stale the others' are", async () => {
  for (const fill of [500_000, 0]) {
    const answers = new Answers();
    const open = (tokenId: string) =>
      fill === 0
        ? answers.of(tokenId).stream(new ReadableStream<Uint8Array>())
        : answers.of(tokenId).respond(TEXT).body!;
    const stale = open("owner").getReader();
    const flood = range(1, fill === 0 ? 256 : 67).map(() => open("flood").getReader());
    await assertRejects(() => flood[0]!.closed, Error, "nobody takes");
    let isCut = false;
    stale.closed.catch(() => isCut = true);
    await new Promise((turn) => setTimeout(turn, 0));
    assertEquals(isCut, false);
    answers.close();
    await Promise.allSettled(flood.map(({ closed }) => closed));
  }
});

Deno.test("while one token leaves its answers, those of another need not be made one by one", () => {
  const answers = new Answers();
  for (const _ of range(1, 9)) answers.of("flood").respond(TEXT);
  assertEquals([answers.of("flood").isCrowded, answers.of("owner").isCrowded], [true, false]);
  answers.close();
});

Deno.test("a route gives its readers another time than the other answers have", async () => {
  const answers = new Answers(5);
  const stream = answers.of("t").stream(new ReadableStream<Uint8Array>(), 3_600_000);
  const short = answers.of("t").respond(TEXT).body!.getReader();
  await assertRejects(() => short.closed, Error, "nobody takes");
  assertEquals(answers.count, 1);
  await stream.cancel();
});

Deno.test("a download may stand still for as long as the blobs say", async () => {
  const content = new ReadableStream<Uint8Array>();
  const blobs = { idleMs: 30_000, open: () => ({ bytes: 1, content }) } as Partial<Blobs> as Blobs;
  const services = QUIET_SERVICES as unknown as Services;
  const get = blobRoutes(blobs, services).find(({ method }) => method === "GET")!;
  let given: number | undefined;
  const answers: Partial<TokenAnswers> = {
    stream: (content, stuckMs) => {
      given = stuckMs;
      return content;
    },
  };
  const caller = { principal: { tokenId: "t", scopes: new Set(["read"]) } };
  const request = new Request("http://localhost/blobs/x");
  await get.handle({ request, params: { hash: "x" }, caller, answers } as unknown as Exchange);
  assertEquals(given, 30_000);
});
