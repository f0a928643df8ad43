/**
 * Writes a small store of the present format, to be kept under tests/data/ when the format is released.
 *
 *     deno run -A scripts/freeze_store.ts tests/data/store-format-1
 *
 * It is made by the store itself: blocks, chunks, dedup keys, times to live, cursors. Beside it stands what it
 * holds, as JSON, so that a later version is tested against what was written and not against itself.
 */

import { join } from "@std/path/posix";
import type { DedupEntry, LogEvent } from "../src/core/event.ts";
import { type CursorState, cursorWrite } from "../src/core/consumers.ts";
import type { Unit } from "../src/core/ports.ts";
import { FORMAT, openKvStore } from "../src/store/kv_store.ts";

const EPOCH = "6a1f0c52-5f0b-4d3e-9d0e-2f6f3c1b7a90";
const AGENT = "ed25519.0123456789abcdef0123456789abcdef";
const START_MS = 1_767_225_600_000;
/** Dropped by retention before the store was frozen: its seqs begin behind. */
const DROPPED = 3;

/** What a frozen store holds. */
interface Content {
  readonly format: number;
  readonly epoch: string;
  readonly head: number;
  readonly events: readonly LogEvent[];
  readonly dedup: readonly DedupEntry[];
  readonly cursors: readonly CursorState[];
}

const PAYLOADS: readonly string[] = [
  `"dropped"`,
  `{"dropped":true}`,
  `null`,
  `{"text":"é€🚪\\u2028\\u0000","number":12345678901234567890,"nested":[[{}]]}`,
  `1e999`,
  `""`,
  `{"__proto__":{"a":1}}`,
  `"${"x".repeat(62_000)}"`,
  `"${"€".repeat(21_000)}"`,
  `[1,2,3]`,
];

function eventAt(seq: number, payload: string): LogEvent {
  const id = `00000000-0000-4000-8000-${String(seq).padStart(12, "0")}`;
  const kind = seq % 2 === 0 ? "query" : "notify";
  const topic = seq % 3 === 0 ? "build.web.done" : null;
  const bufferedAtMs = START_MS + seq;
  return {
    seq,
    bufferedAtMs,
    kind,
    topic,
    expiresAtMs: seq % 4 === 0 ? bufferedAtMs + 86_400_000 : null,
    envelope: `{"v":1,"id":"${id}","from":"${AGENT}","to":"${AGENT}","ts":${bufferedAtMs},` +
      `"kind":"${kind}","ref":${seq % 5 === 0 ? `"a \\"ref\\""` : "null"},` +
      (topic === null ? "" : `"topic":"${topic}",`) + `"payload":${payload}}`,
  };
}

function unitOf(events: readonly LogEvent[]): Unit {
  const keyed = events.filter(({ seq }) => seq % 2 === 0);
  const dedup = keyed.map(({ seq }) => (
    { key: `owner key-${seq}-é`, seq, msgId: `00000000-0000-4000-8000-${seq}` }
  ));
  return { events, dedup, documents: [] };
}

async function freeze(directory: string): Promise<Content> {
  await Deno.mkdir(directory, { recursive: true });
  const store = await openKvStore({
    path: join(directory, "events.kv"),
    hint: { read: () => null, write() {}, close() {} },
    log: { debug() {}, info() {}, warn() {}, error() {} },
    newEpoch: () => EPOCH,
  });
  if (store.state.head > 0) throw new Error(`${directory} holds a store already`);
  const events = PAYLOADS.map((payload, i) => eventAt(i + 1, payload));
  const batch = {
    keepEvents: true,
    documents: [],
    droppedBlocks: [],
    merges: [],
  };
  const first = await store.commit({ ...batch, units: [unitOf(events.slice(0, DROPPED))] });
  const rest = events.slice(DROPPED);
  const cursors: CursorState[] = [
    { name: "default", ackedSeq: 5, deliveredBound: 16_390, lastSeenMs: START_MS + 9 },
    { name: "a name with é and spaces", ackedSeq: 0, deliveredBound: 8, lastSeenMs: START_MS },
  ];
  const units = [unitOf(rest.slice(0, 2)), ...rest.slice(2).map((event) => unitOf([event]))];
  await store.commit({
    ...batch,
    units,
    documents: cursors.map(cursorWrite),
    droppedBlocks: first.blocks,
  });
  await store.close();
  const dedup = units.flatMap((unit) => unit.dedup);
  return { format: FORMAT, epoch: EPOCH, head: events.length, events: rest, dedup, cursors };
}

if (import.meta.main) {
  const [directory] = Deno.args;
  if (directory === undefined) throw new Error("freeze_store: name the directory to write to");
  const content = await freeze(directory);
  await Deno.writeTextFile(
    join(directory, "content.json"),
    JSON.stringify(content, null, 2) + "\n",
  );
}
