/** Documents on Deno KV: texts of any size, overwritten, removed, and after a crash each as it was or as it became. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import type { Document, DocumentKey, DocumentWrite, LogStore } from "../../src/core/ports.ts";
import { newEvent } from "../support/new_event.ts";
import { documentOf, DOCUMENTS } from "../support/document_child.ts";
import { lastOfKilled } from "../support/killed_child.ts";
import { Random } from "../support/random.ts";
import { batchOf, eventsOf, StorePlace, unitsOf } from "../support/test_store.ts";

const KIB = 1024;
/** The most bytes of text that stand in one value, as they are stored. */
const TEXT_BYTES = 56 * KIB;

const VALUE: DocumentKey = ["value", "a.b", 3];

function written(text: string | undefined, key: DocumentKey = VALUE): DocumentWrite {
  const fields = { sequence: 7, at_ms: 1.5, taken: true, by: null, name: "é" };
  return { key, content: text === undefined ? { fields } : { fields, text } };
}

async function commit(store: LogStore, ...documents: DocumentWrite[]): Promise<void> {
  const { failure, restStored } = await store.commit(batchOf([], { documents }));
  assertEquals([failure, restStored], [undefined, true]);
}

/** What a fresh start finds, by key. */
async function found(place: StorePlace): Promise<Map<string, Document>> {
  const { state } = await place.open();
  return new Map(state.documents.map((document) => [document.key.join(" "), document]));
}

async function piecesIn(place: StorePlace): Promise<number> {
  return (await place.keys()).filter((key) => key.startsWith("piece ")).length;
}

const TEXTS: readonly (readonly [name: string, text: string | undefined, pieces: number])[] = [
  ["no text", undefined, 0],
  ["an empty text", "", 0],
  ["one character", "x", 0],
  ["56 KiB less 1", "x".repeat(TEXT_BYTES - 1), 0],
  ["56 KiB", "x".repeat(TEXT_BYTES), 0],
  ["56 KiB and 1", "x".repeat(TEXT_BYTES + 1), 2],
  ["twice 56 KiB", "x".repeat(2 * TEXT_BYTES), 2],
  ["1 MiB", "x".repeat(KIB * KIB), 19],
  ["3 MiB", "x".repeat(3 * KIB * KIB), 55],
  ["56 KiB of two-byte characters", "é".repeat(TEXT_BYTES / 2), 0],
  ["56 KiB and 2 of two-byte characters", "é".repeat(TEXT_BYTES / 2 + 1), 2],
  ["four-byte characters across the pieces", "x" + "🚪".repeat(50_000), 4],
  ["three-byte characters across the pieces", "xx" + "€".repeat(50_000), 3],
];

for (const [name, text, pieces] of TEXTS) {
  Deno.test(`a document with ${name} is read back to the letter`, async () => {
    await using place = new StorePlace();
    const write = written(text);
    await commit(await place.open(), write);
    const { key, ...content } = (await found(place)).get("value a.b 3")!;
    assertEquals([key, content.fields], [[...VALUE], write.content!.fields]);
    assert(content.text === text && ("text" in content) === (text !== undefined));
    assertEquals(await piecesIn(place), pieces);
  });
}

Deno.test("a text overwritten by any other leaves nothing of itself, restarted in between or not", async () => {
  for (const restarts of [false, true]) {
    await using place = new StorePlace();
    let store = await place.open();
    for (const [, text, pieces] of [...TEXTS, ...TEXTS.toReversed(), TEXTS[7]!, TEXTS[8]!]) {
      if (restarts) store = await place.open();
      await commit(store, written(text));
      assert((await found(place)).get("value a.b 3")!.text === text);
      assertEquals(await piecesIn(place), pieces);
      store = await place.open();
    }
    await commit(store, { key: VALUE, content: null });
    assertEquals([(await found(place)).size, await piecesIn(place)], [0, 0]);
    assert(!place.logged.some(({ message }) => message.includes("swept")));
  }
});

Deno.test("documents of one commit and of all collections do not mix, and neither do names and slots", async () => {
  await using place = new StorePlace();
  const keys: DocumentKey[] = [
    ["cursor", "a"],
    ["record", "a"],
    ["value", "a", 0],
    ["value", "a", 1],
    ["value", "a.b", 0],
    ["value", "a 0", 1],
    ["value", "a", 10],
  ];
  const texts = keys.map((key) => key.join("/").padEnd(60 * KIB, "."));
  const store = await place.open();
  await commit(store, ...keys.map((key, i) => written(texts[i], key)));
  await commit(store, { key: keys[3]!, content: null });
  const { documents } = (await place.open()).state;
  const texts3 = texts.filter((_, i) => i !== 3);
  assertEquals(new Set(documents.map(({ text }) => text)), new Set(texts3));
  for (const { key, text } of documents) assert(text!.startsWith(key.join("/")));
  assertEquals(await piecesIn(place), 2 * 6);
});

Deno.test("removing what is not there does nothing", async () => {
  await using place = new StorePlace();
  await commit(await place.open(), { key: VALUE, content: null });
  assertEquals((await found(place)).size, 0);
});

Deno.test("large documents go in with a commit's events", async () => {
  await using place = new StorePlace();
  const units = unitsOf(1, [newEvent({ chars: 900 * KIB }), newEvent(), newEvent()]);
  const documents = [written("x".repeat(900 * KIB)), written("y".repeat(100), ["cursor", "c"])];
  const outcome = await (await place.open()).commit(batchOf(units, { documents }));
  assertEquals([outcome.failure, outcome.storedUnits, outcome.restStored], [undefined, 3, true]);
  const again = await place.open();
  assertEquals((await eventsOf(again)).length, 3);
  assertEquals(again.state.documents.map(({ text }) => text?.length), [100, 900 * KIB]);
});

Deno.test("pieces that no document names are swept at the next start, and no others", async () => {
  await using place = new StorePlace();
  const text = "x".repeat(200 * KIB);
  await commit(await place.open(), written(text));
  const before = await place.keys();
  await place.raw(async (kv) => {
    for (const id of [2, 3, 900]) {
      for (let i = 0; i < 5; i++) await kv.set(["piece", id, i], new Uint8Array(TEXT_BYTES));
    }
  });
  assert((await found(place)).get("value a.b 3")!.text === text);
  assertEquals(await place.keys(), before);
  assertEquals(place.logged.map(({ level }) => level), ["info"]);
});

Deno.test("a document whose piece is gone is reported by its name, and the store not opened", async () => {
  await using place = new StorePlace();
  await commit(await place.open(), written("x".repeat(200 * KIB)));
  await place.raw((kv) => kv.delete(["piece", 1, 2]));
  await assertRejects(() => place.open(), Error, 'the stored value "a.b" is damaged');
});

/** Lets every atomic operation fail whose number, counted from 0, is among those. */
class FailingDisk implements Disposable {
  /** How many were asked for. */
  asked = 0;
  readonly #commit = Deno.AtomicOperation.prototype.commit;

  constructor(fails: (number: number) => boolean) {
    const commit = this.#commit;
    const next = () => this.asked++;
    Deno.AtomicOperation.prototype.commit = function (): ReturnType<typeof commit> {
      if (fails(next())) return Promise.reject(new Error("database or disk is full"));
      return commit.call(this);
    };
  }

  [Symbol.dispose](): void {
    Deno.AtomicOperation.prototype.commit = this.#commit;
  }
}

const DISKS = [
  { what: "that fails once", isBack: true, fails: (at: number) => (n: number) => n === at },
  { what: "that takes no more", isBack: false, fails: (at: number) => (n: number) => n >= at },
];

for (const { what, isBack, fails } of DISKS) {
  Deno.test(`on a disk ${what}, whenever it is, documents stay as they were and go in later`, async () => {
    await using place = new StorePlace();
    const old = [written("a".repeat(300 * KIB)), written("b", ["record", "b"])];
    await commit(await place.open(), ...old);
    await place.close();
    const before = (await place.keys()).length;
    // Two operations of ten pieces each, then the one that names them.
    const large = [written("c".repeat(900 * KIB)), written("d", ["record", "b"])];
    for (let at = 0; at < 3; at++) {
      const store = await place.open();
      {
        using _disk = new FailingDisk(fails(at));
        const { failure, restStored } = await store.commit(batchOf([], { documents: large }));
        assertEquals([failure instanceof PosternError && failure.code, restStored], [
          "storage_full",
          false,
        ]);
      }
      await place.close();
      const left = (await place.keys()).length - before;
      if (isBack) assertEquals(left, 0, "it cleans up after itself");
      for (const { key, content } of old) {
        assert((await found(place)).get(key.join(" "))!.text === content!.text);
      }
      assertEquals((await place.keys()).length, before, `failed at ${at}`);
    }
    const store = await place.open();
    using disk = new FailingDisk(() => false);
    await commit(store, ...large);
    assert(disk.asked >= 3, `${disk.asked} operations: each of them was let fail`);
    for (const { key, content } of large) {
      assert((await found(place)).get(key.join(" "))!.text === content!.text);
    }
  });
}

Deno.test("a store that goes on after a failure knows which pieces are whose", async () => {
  await using place = new StorePlace();
  const store = await place.open();
  for (let round = 0; round < 6; round++) {
    const documents = [
      written(`${round}`.repeat(150 * KIB)),
      written("x".repeat(90 * KIB), [
        "record",
        "b",
      ]),
    ];
    if (round % 2 === 1) {
      // The pieces, or what names them.
      using _disk = new FailingDisk((number) => number === (round === 3 ? 0 : 1));
      assertEquals((await store.commit(batchOf([], { documents }))).restStored, false);
    } else await commit(store, ...documents);
  }
  assert((await found(place)).get("value a.b 3")!.text === "4".repeat(150 * KIB));
  assertEquals(await piecesIn(place), 3 + 2);
});

const ROUNDS = 8;

Deno.test(`a process killed in the middle of large sets leaves every document whole in ${ROUNDS} rounds`, async () => {
  await using place = new StorePlace();
  const random = new Random(11);
  let finished = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const before = finished;
    await place.close();
    const args = [place.path, String(finished + 1)];
    finished = await lastOfKilled("document_child.ts", { args, lines: 1 + random.below(25) });
    assert(finished > before, "the round set something");
    const { documents } = (await place.open()).state;
    assertEquals(documents.length, DOCUMENTS);
    const reached = documents[0]!.fields.sequence as number;
    assert(
      reached === finished || reached === finished + 1,
      `${finished} was said, ${reached} is in`,
    );
    for (const [i, { key, fields, text }] of documents.entries()) {
      assertEquals([[...key], fields.sequence], [["value", "r", i], reached]);
      assert(text === documentOf(i, reached).content!.text, `document ${i} is whole`);
    }
    const pieces = documents.map(({ text }) =>
      text!.length > TEXT_BYTES ? Math.ceil(text!.length / TEXT_BYTES) : 0
    );
    assertEquals(await piecesIn(place), pieces.reduce((sum, count) => sum + count, 0));
    finished = reached;
  }
  assert(!place.logged.some(({ level }) => level === "error"));
});
