/**
 * `kill -9` in the middle of a stream, again and again: whoever subscribed sees every event once and in order, and
 * whoever sends with a key sends once, without either of them doing anything about it.
 */

import { assert, assertEquals } from "@std/assert";
import { type Client, connect } from "../../src/client/mod.ts";
import { type DaemonProcess, startProcess, TestDirectory } from "../support/process.ts";

const KILLS = 100;
const OUTSTANDING = 20;
/** Between two kills the subscriber sees at most so many events. */
const LONGEST_STRETCH = 60;
const LIMIT_MS = 240_000;
const NO_ENV = new Map<string, string>();

function connectTo(directory: string): Promise<Client> {
  const reconnect = { minDelayMs: 5, maxDelayMs: 40 };
  return connect({ dir: directory, env: NO_ENV, reconnect });
}

/** Sends numbered messages until told to stop; each is one promise, whatever becomes of the daemon. */
class Sender {
  sent = 0;
  readonly #client: Client;
  #stopped = false;
  readonly done: Promise<void>;

  constructor(client: Client) {
    this.#client = client;
    this.done = Promise.all(Array.from({ length: OUTSTANDING }, () => this.#send())).then(() => {});
  }

  stop(): void {
    this.#stopped = true;
  }

  async #send(): Promise<void> {
    while (!this.#stopped) {
      const n = ++this.sent;
      await this.#client.send({ kind: "notify", payload: n, dedup_key: String(n) });
    }
  }
}

/** What a subscriber has seen, and a way to wait for more. */
class Seen {
  readonly seqs: number[] = [];
  readonly payloads: unknown[] = [];
  #change = Promise.withResolvers<void>();

  async follow(stream: ReturnType<Client["subscribe"]>): Promise<void> {
    for await (const { seq, envelope, gap, reset } of stream) {
      assertEquals([gap, reset], [undefined, undefined]);
      this.seqs.push(seq);
      this.payloads.push(envelope.payload);
      this.#change.resolve();
      this.#change = Promise.withResolvers();
    }
  }

  async atLeast(count: number): Promise<void> {
    while (this.seqs.length < count) await this.#change.promise;
  }
}

Deno.test(`${KILLS} kills during a stream: no event is missed, none comes twice`, async () => {
  await using directory = new TestDirectory();
  let daemon: DaemonProcess = await startProcess(directory.path).ready();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await using client = await connectTo(directory.path);
    await using stream = client.subscribe({ consumer: null });
    await stream.started;
    // What is missed is waited for; then the end of the client fails the test.
    timer = setTimeout(() => client.close(), LIMIT_MS);
    const seen = new Seen();
    const following = seen.follow(stream);
    const sender = new Sender(client);
    for (let kill = 0; kill < KILLS; kill++) {
      const stretch = 1 + (kill * 37) % LONGEST_STRETCH;
      await Promise.race([seen.atLeast(seen.seqs.length + stretch), following]);
      await daemon.crash();
      daemon = await startProcess(directory.path).ready();
    }
    sender.stop();
    await sender.done;
    await Promise.race([seen.atLeast(sender.sent), following]);
    assert(sender.sent > KILLS, "hardly anything was sent, so hardly anything was tested");
    assertEquals(
      seen.seqs,
      Array.from(seen.seqs, (_, i) => i + 1),
      "seqs have no hole and no double",
    );
    const numbers = (seen.payloads as number[]).toSorted((a, b) => a - b);
    assertEquals(numbers, Array.from({ length: sender.sent }, (_, i) => i + 1));
    assertEquals((await client.status()).store.head_seq, sender.sent);
    stream.close();
    await following;
  } finally {
    clearTimeout(timer);
    await daemon[Symbol.asyncDispose]();
  }
});
