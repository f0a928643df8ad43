/** What the load process does to a daemon's records. Each scenario has a record of its own. */

import { AxonSocket, requestLine, setLines } from "./axon_socket.ts";
import {
  askRepeatedly,
  expectEqual,
  type Figures,
  latencies,
  type Load,
  OUTSTANDING,
  pump,
} from "./steps.ts";

const WATCHERS = 100;
/** Updates that every watcher has read before more are set, few enough that none is dropped. */
const WATCHED_BATCH = 100;
const WARM_UP_SETS = 20_000;

/** The scenarios by their names on the command line of the load process. */
export const RECORD_SCENARIOS: Readonly<Record<string, (load: Load) => Promise<Figures>>> = {
  record_set: (load) => set(load, { name: "bench.durable", volatile: false }),
  record_set_volatile: (load) => set(load, { name: "bench.volatile", volatile: true }),
  record_set_single: setSingle,
  record_get: get,
  record_watch: watch,
};

interface Defined {
  readonly name: string;
  readonly volatile: boolean;
}

async function define(socket: AxonSocket, { name, volatile }: Defined): Promise<void> {
  await socket.ask({ cmd: "record.define", req_id: "d", name, volatile });
}

/** Sets with 1,000 outstanding; those of a durable record are answered when they are on disk. */
async function set({ directory, count }: Load, defined: Defined): Promise<Figures> {
  using socket = await AxonSocket.open(directory);
  await define(socket, defined);
  const lines = setLines(defined.name, OUTSTANDING);
  await pump(socket, WARM_UP_SETS, lines);
  const first = await sequenceOf(socket, defined.name);
  const begun = performance.now();
  await pump(socket, count, lines);
  const seconds = (performance.now() - begun) / 1_000;
  expectEqual(await sequenceOf(socket, defined.name) - first, count, "values set");
  const name = defined.volatile ? "record_set_volatile" : "record_set";
  return { [`${name}_per_second`]: count / seconds };
}

async function sequenceOf(socket: AxonSocket, name: string): Promise<number> {
  return Number((await socket.ask({ cmd: "record.get", req_id: "g", name })).sequence);
}

/** One durable set after the other. */
async function setSingle({ directory, count }: Load): Promise<Figures> {
  using socket = await AxonSocket.open(directory);
  const name = "bench.single";
  await define(socket, { name, volatile: false });
  return latencies("record_set_single", await askRepeatedly(socket, setLines(name, 1), count));
}

/** The round trip of reading a record. */
async function get({ directory, count }: Load): Promise<Figures> {
  using socket = await AxonSocket.open(directory);
  const name = "bench.get";
  await define(socket, { name, volatile: false });
  await socket.ask({ cmd: "record.set", req_id: "s", name, value: { text: "x".repeat(100) } });
  const request = requestLine({ cmd: "record.get", req_id: "1", name });
  return latencies("record_get", await askRepeatedly(socket, request, count));
}

/** One record watched by a hundred connections, each of which gets every update. */
async function watch({ directory, count }: Load): Promise<Figures> {
  using setter = await AxonSocket.open(directory);
  const name = "bench.watched";
  await define(setter, { name, volatile: true });
  const lines = setLines(name, WATCHED_BATCH);
  const watchers: AxonSocket[] = [];
  try {
    for (let i = 0; i < WATCHERS; i++) {
      const watcher = await AxonSocket.open(directory);
      watchers.push(watcher);
      await watcher.ask({ cmd: "record.subscribe", req_id: "s", name });
    }
    const setBatch = async () => {
      await Promise.all([
        setter.write(lines).then(() => setter.readLines(WATCHED_BATCH)),
        ...watchers.map((watcher) => watcher.readLines(WATCHED_BATCH)),
      ]);
    };
    await setBatch();
    const batches = Math.ceil(count / WATCHED_BATCH);
    const begun = performance.now();
    for (let i = 0; i < batches; i++) await setBatch();
    const seconds = (performance.now() - begun) / 1_000;
    const deliveries = batches * WATCHED_BATCH * WATCHERS;
    return { record_watch_100_deliveries_per_second: deliveries / seconds };
  } finally {
    for (const watcher of watchers) watcher[Symbol.dispose]();
  }
}
