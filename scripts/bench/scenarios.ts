/**
 * What the load process does to a daemon, one function for each thing that is measured.
 *
 * Each opens its own connections, warms up, measures, checks that everything it counts really happened,
 * and returns named numbers.
 */

import { AxonSocket, publishLines, requestLine } from "./axon_socket.ts";
import { RECORD_SCENARIOS } from "./record_scenarios.ts";
import { timeEach } from "./statistics.ts";
import {
  askRepeatedly,
  expectEqual,
  type Figures,
  latencies,
  type Load,
  OUTSTANDING,
  pump,
} from "./steps.ts";

const PUBLISHES = publishLines(OUTSTANDING);
const SUBSCRIBERS = 16;
const WARM_UP_EVENTS = 20_000;

/** The scenarios by their names on the command line of the load process. */
export const SCENARIOS: Readonly<Record<string, (load: Load) => Promise<Figures>>> = {
  publish,
  publish_single: publishSingle,
  status,
  end_to_end: endToEnd,
  fan_out: fanOut,
  replay,
  ...RECORD_SCENARIOS,
};

/** Durable publishes with 1,000 outstanding: each reply lets one more go. */
async function publish({ directory, count }: Load): Promise<Figures> {
  using socket = await AxonSocket.open(directory);
  await pump(socket, WARM_UP_EVENTS, PUBLISHES);
  const first = await sendOne(socket);
  const begun = performance.now();
  await pump(socket, count, PUBLISHES);
  const seconds = (performance.now() - begun) / 1_000;
  expectEqual(await sendOne(socket) - first - 1, count, "events appended");
  return { publish_per_second: count / seconds };
}

/** Publishes one event and returns its seq, so that what lies between two of them can be counted. */
async function sendOne(socket: AxonSocket): Promise<number> {
  const request = { cmd: "send", req_id: "1", to: "self", kind: "notify", payload: {} };
  return Number((await socket.ask(request)).seq);
}

/** One publish after the other: what a program waits that sends a single message. */
async function publishSingle({ directory, count }: Load): Promise<Figures> {
  using socket = await AxonSocket.open(directory);
  const times = await askRepeatedly(socket, publishLines(1), count);
  return latencies("publish_single", times);
}

/** The round trip of a request that changes nothing. */
async function status({ directory, count }: Load): Promise<Figures> {
  using socket = await AxonSocket.open(directory);
  const times = await askRepeatedly(socket, requestLine({ cmd: "status", req_id: "1" }), count);
  return latencies("status", times);
}

/** Publisher to consumer, every event delivered and acknowledged by the consumer. */
async function endToEnd({ directory, count }: Load): Promise<Figures> {
  using publisher = await AxonSocket.open(directory);
  using consumer = await AxonSocket.open(directory, "bench-end-to-end");
  await consumer.ask({ cmd: "subscribe", req_id: "s", replay: false });
  const single = await timeEach(Math.min(count, 1_000), async () => {
    await Promise.all([
      publisher.write(publishLines(1)).then(() => publisher.readLines(1)),
      consumer.readLines(1),
    ]);
  });
  const begun = performance.now();
  await Promise.all([pump(publisher, count, PUBLISHES), consumeAndAck(consumer, count)]);
  const seconds = (performance.now() - begun) / 1_000;
  return { end_to_end_per_second: count / seconds, ...latencies("end_to_end_single", single) };
}

/**
 * Reads `count` events and acks as it goes, one ack outstanding at a time, until the last is acked.
 *
 * Replies and events come interleaved. Both are lines; only the last line of a read is looked at closer.
 */
async function consumeAndAck(socket: AxonSocket, count: number): Promise<void> {
  const reader = new EventReader();
  let acking = 0;
  let acked = 0;
  while (reader.events < count || acked < reader.lastSeq) {
    reader.take(await socket.read());
    acked = Math.max(acked, reader.ackedSeq);
    if (acked < acking || reader.lastSeq <= acking) continue;
    acking = reader.lastSeq;
    await socket.write(requestLine({ cmd: "ack", req_id: "k", up_to_seq: acking }));
  }
}

/** Counts pushed events and remembers the last seq and the last ack's answer, over reads of any size. */
class EventReader {
  events = 0;
  lastSeq = 0;
  ackedSeq = 0;
  #rest = "";
  readonly #decoder = new TextDecoder();

  take(bytes: Uint8Array): void {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const end = text.lastIndexOf("\n") + 1;
    this.#rest = text.slice(end);
    let lastEvent = "";
    for (let at = 0; at < end;) {
      const next = text.indexOf("\n", at) + 1;
      // The usual way to write an event is recognised without parsing it; any other way is parsed.
      if (text.startsWith('{"event"', at)) {
        this.events++;
        if (next === end || !text.startsWith('{"event"', next)) lastEvent = text.slice(at, next);
      } else this.#takeParsed(JSON.parse(text.slice(at, next)));
      at = next;
    }
    if (lastEvent !== "") this.lastSeq = JSON.parse(lastEvent).seq;
  }

  #takeParsed(line: Record<string, unknown>): void {
    if ("event" in line) {
      this.events++;
      this.lastSeq = Number(line.seq);
    } else if (line.ok === true) this.ackedSeq = Number(line.acked_seq);
    else throw new Error(`ack: ${line.error}: ${line.message}`);
  }
}

/** One publisher, sixteen subscribers: what a second subscriber costs, fifteen times. */
async function fanOut({ directory, count }: Load): Promise<Figures> {
  using publisher = await AxonSocket.open(directory);
  const subscribers: AxonSocket[] = [];
  try {
    for (let i = 0; i < SUBSCRIBERS; i++) {
      const subscriber = await AxonSocket.open(directory, `bench-fan-out-${i}`);
      subscribers.push(subscriber);
      await subscriber.ask({ cmd: "subscribe", req_id: "s", replay: false });
    }
    const begun = performance.now();
    await Promise.all([
      pump(publisher, count, PUBLISHES),
      ...subscribers.map((subscriber) => subscriber.readLines(count)),
    ]);
    const seconds = (performance.now() - begun) / 1_000;
    return { fan_out_16_deliveries_per_second: count * SUBSCRIBERS / seconds };
  } finally {
    for (const subscriber of subscribers) subscriber[Symbol.dispose]();
  }
}

/** A new consumer reads what is buffered. The log is filled first, up to what it retains. */
async function replay({ directory, count }: Load): Promise<Figures> {
  using publisher = await AxonSocket.open(directory);
  await pump(publisher, count, PUBLISHES);
  using consumer = await AxonSocket.open(directory, "bench-replay");
  const begun = performance.now();
  await consumer.write(requestLine({ cmd: "subscribe", req_id: "s", replay: true }));
  const { reply, linesBehind } = await firstReply(consumer);
  const replayed = Number(reply.replayed);
  await consumer.readLines(replayed - linesBehind);
  const seconds = (performance.now() - begun) / 1_000;
  return { replay_events: replayed, replay_per_second: replayed / seconds };
}

/** The first line as a reply, and how many whole lines came along behind it. */
async function firstReply(socket: AxonSocket) {
  let text = "";
  const decoder = new TextDecoder();
  while (!text.includes("\n")) text += decoder.decode(await socket.read(), { stream: true });
  const reply: Record<string, unknown> = JSON.parse(text.slice(0, text.indexOf("\n")));
  return { reply, linesBehind: text.split("\n").length - 2 };
}
