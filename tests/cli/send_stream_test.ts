/** The results of a stream of sends: none is lost, at whatever moment a reply comes. */

import { assertEquals } from "@std/assert";
import { Output } from "../../src/cli/output.ts";
import { StreamSender } from "../../src/cli/send_stream.ts";
import type { Client } from "../../src/client/mod.ts";
import { jsonLines } from "../support/cli.ts";

const LINES = 40;
const STREAM = { kind: "notify", defaults: {} };
/** Turns of the microtask queue between two replies; one of them meets the end of each write. */
const MOST_TURNS = 16;

/** A client whose n-th reply comes n times so many microtasks later. */
function clientAnswering(turns: number): Client {
  let seq = 0;
  const call = async () => {
    const own = ++seq;
    for (let i = 0; i < own * turns; i++) await null;
    return { seq: own, msg_id: "id" };
  };
  return { call, closed: new Promise(() => {}) } as unknown as Client;
}

class Sink {
  text = "";
  readonly #decoder = new TextDecoder();

  write(bytes: Uint8Array): Promise<number> {
    this.text += this.#decoder.decode(bytes);
    return Promise.resolve(bytes.length);
  }

  isTerminal(): boolean {
    return false;
  }
}

for (let turns = 0; turns <= MOST_TURNS; turns++) {
  Deno.test(`every line has its result when replies come ${turns} microtasks apart`, async () => {
    const sink = new Sink();
    const out = new Output(sink, new Sink(), true);
    out.json = true;
    const input = new Blob(["{}\n".repeat(LINES)]).stream();
    const sender = new StreamSender(clientAnswering(turns), STREAM, out);
    assertEquals((await sender.sendAll(input)).sent, LINES);
    assertEquals(
      jsonLines(sink.text).map(({ line }) => line),
      Array.from({ length: LINES }, (_, i) => i + 1),
    );
  });
}
