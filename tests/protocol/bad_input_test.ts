/**
 * What strangers, broken programs and accidents send, and that it harms nobody else.
 *
 * Every test keeps a second client on the same daemon that must be served throughout, and at the end finds
 * the events that it had put in the log still there, each once.
 */

import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { startTestDaemon } from "../support/in_process.ts";
import type { PartialConfig, TestDaemon } from "../support/in_process.ts";
import type { Line, RawClient } from "../support/raw_client.ts";
import { expectError, payloadsOf, range, seqsOf } from "../support/expect.ts";

const MIB = 1024 * 1024;

/** A daemon, a client that misbehaves, and a bystander who must not notice. */
interface Scene {
  readonly daemon: TestDaemon;
  readonly client: RawClient;
  readonly bystander: Bystander;
}

/** A client that goes on sending and reading, and knows what it is owed. */
class Bystander {
  readonly #client: RawClient;
  #sent: number[] = [];

  constructor(client: RawClient) {
    this.#client = client;
  }

  /** One durable send and one reply; fails when the daemon does not serve it. */
  async isServed(): Promise<void> {
    const payload = this.#sent.length;
    const send = { cmd: "send", to: "self", kind: "ping", topic: "bystander", payload };
    const reply = await this.#client.ask(send);
    assertEquals(reply.ok, true, JSON.stringify(reply));
    this.#sent.push(reply.seq);
  }

  async lostNothing(): Promise<void> {
    const found: Line[] = [];
    for (let hasMore = true; hasMore;) {
      const after = found.at(-1)?.seq ?? 0;
      const page = { cmd: "event.read", after, limit: 1000, topics: ["bystander"] };
      const { events, has_more } = await this.#client.ask(page);
      found.push(...events);
      hasMore = has_more;
    }
    assertEquals(seqsOf(found), this.#sent);
    assertEquals(payloadsOf(found), this.#sent.map((_, i) => i));
  }
}

function badInputTest(
  name: string,
  act: (scene: Scene) => Promise<void>,
  config: PartialConfig = {},
): void {
  Deno.test(`bad input: ${name}`, async () => {
    await using daemon = await startTestDaemon({ config });
    const bystander = new Bystander(await daemon.v2("bystander"));
    await bystander.isServed();
    await act({ daemon, client: await daemon.v2(), bystander });
    await bystander.isServed();
    await bystander.lostNothing();
  });
}

badInputTest("broken JSON is answered line by line", async ({ client, bystander }) => {
  const whole = '{"cmd":"status","req_id":"1","x":["a\\n\\u00e9",{"b":-1.5e3}]}';
  for (let end = 1; end < whole.length; end++) {
    expectError(await client.askText(whole.slice(0, end)), "invalid_command");
  }
  for (
    const text of ["\u0000", "{\u0000}", '{"cmd":"status\u0000"}', "\ufeff{}", "]", "NaN", "'"]
  ) {
    expectError(await client.askText(text), "invalid_command");
    await bystander.isServed();
  }
});

badInputTest("bad UTF-8 is invalid_command, and the next line is read", async ({ client }) => {
  const status = new TextEncoder().encode('{"cmd":"status","req_id":"next"}\n');
  const wrong = [
    [0xff],
    [0xc3],
    [0xc3, 0x28],
    [0xe2, 0x82],
    [0xc0, 0xaf],
    [0xed, 0xa0, 0x80],
    [0xf5, 0x80, 0x80, 0x80],
    [0x22, 0x80, 0x22],
  ];
  for (const bytes of wrong) {
    await client.write(new Uint8Array([...bytes, 0x0a, ...status]));
    expectError(await client.reply(), "invalid_command");
    assertEquals((await client.reply()).req_id, "next");
  }
});

badInputTest("bad UTF-8 inside a payload appends nothing", async ({ client }) => {
  const [before, after] = [
    '{"cmd":"send","req_id":"s","to":"self","kind":"query","payload":"',
    '"}\n',
  ];
  const encoder = new TextEncoder();
  await client.write(new Uint8Array([...encoder.encode(before), 0xff, ...encoder.encode(after)]));
  expectError(await client.reply(), "invalid_command");
  assertEquals((await client.ask({ cmd: "inbox", kinds: ["query"] })).messages, []);
});

badInputTest("a line of 100 MiB without an end is refused early", async ({ client, bystander }) => {
  const before = heldBytes();
  const chunk = new Uint8Array(MIB).fill(0x61);
  let written = 0;
  try {
    while (written < 100) {
      await client.write(chunk);
      written++;
      await bystander.isServed();
      assertLess(heldBytes() - before, 48 * MIB);
    }
  } catch (error) {
    assert(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset);
  }
  assertLess(written, 100, "the connection was closed long before");
  const lines = await client.untilClosed();
  assertEquals(lines.map((line) => line.error), ["invalid_command"]);
});

badInputTest(
  "a line as long as allowed is read, one byte more is not",
  async ({ daemon, client }) => {
    const empty = '{"cmd":"send","req_id":"s","to":"self","kind":"query","payload":""}';
    const fill = "x".repeat(4096 - empty.length);
    const line = empty.replace('""', `"${fill}"`);
    assertEquals((await client.askText(line)).ok, true);
    assertEquals((await client.askText(line + "\r")).ok, true);
    await client.write(line.replace("x", "xx") + "\n");
    const lines = await client.untilClosed();
    assertEquals(lines.map((each) => each.error), ["invalid_command"]);
    assertMatch(lines[0]!.message, /4096/);
    const again = await daemon.v2();
    assertEquals((await again.ask({ cmd: "inbox", kinds: ["query"] })).messages.length, 2);
  },
  { limits: { max_line_bytes: 4096 } },
);

badInputTest("what came before an overlong line is answered", async ({ client }) => {
  await client.write(
    '{"cmd":"status","req_id":"1"}\n{"cmd":"peers","req_id":"2"}\n' + "x".repeat(5000),
  );
  const lines = await client.untilClosed();
  assertEquals(lines.map((line) => line.req_id ?? line.error), ["1", "2", "invalid_command"]);
}, { limits: { max_line_bytes: 4096 } });

badInputTest("20,000 levels of nesting are invalid_command", async ({ client, bystander }) => {
  for (const [open, close] of [["[", "]"], ['{"a":', "}"]]) {
    const deep = `${open!.repeat(20_000)}1${close!.repeat(20_000)}`;
    for (
      const text of [
        deep,
        `{"cmd":"send","req_id":"s","to":"self","kind":"query","payload":${deep}}`,
        `{"cmd":"inbox","req_id":"s","kinds":${deep}}`,
        open!.repeat(20_000),
      ]
    ) {
      expectError(await client.askText(text), "invalid_command");
      await bystander.isServed();
    }
  }
  assertEquals((await client.ask({ cmd: "inbox", kinds: ["query"] })).messages, []);
});

badInputTest(
  "128 levels are read, 129 are not; brackets in strings are no levels",
  async ({ client }) => {
    const nested = (levels: number) =>
      `{"cmd":"send","req_id":"s","to":"self","kind":"query","payload":` +
      `${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`;
    assertEquals((await client.askText(nested(128))).ok, true);
    expectError(await client.askText(nested(129)), "invalid_command");
    const payload = '[{"\\'.repeat(5000);
    assertEquals((await client.ask({ cmd: "send", to: "self", kind: "query", payload })).ok, true);
    assertEquals(
      payloadsOf((await client.ask({ cmd: "inbox", kinds: ["query"] })).messages)[1],
      payload,
    );
  },
);

badInputTest(
  "numbers out of range are refused where a number means something",
  async ({ client }) => {
    const numbers = [
      "1e999",
      "-1e999",
      "9007199254740993",
      "1.5",
      "-1",
      "1e400",
      "12345678901234567890",
    ];
    for (const number of numbers) {
      for (
        const fields of [
          `"cmd":"inbox","limit":${number}`,
          `"cmd":"event.read","after":${number}`,
          `"cmd":"hello","version":${number}`,
        ]
      ) {
        const reply = await client.askText(`{"req_id":"n",${fields}}`);
        assertEquals([reply.ok, reply.req_id], [false, "n"], fields);
      }
      const ack = await client.askText(`{"req_id":"n","cmd":"ack","up_to_seq":${number}}`);
      assertMatch(ack.error, /^(invalid_command|ack_out_of_range)$/);
      expectError(await client.askText(`{"req_id":"n","cmd":${number}}`), "invalid_command");
      expectError(await client.askText(`{"req_id":${number},"cmd":"status"}`), "invalid_command");
    }
  },
);

badInputTest("minus zero is zero or refused, and never comes back", async ({ client }) => {
  await client.write('{"req_id":"z","cmd":"ack","up_to_seq":-0}\n');
  const text = await client.text();
  assertEquals(text.includes("-0"), false, text);
  assertMatch(text, /"acked_seq":0|"invalid_command"/);
});

const PROTO_LINES = [
  '{"cmd":"status","req_id":"p","__proto__":{"version":1}}',
  '{"__proto__":{"cmd":"status"},"req_id":"p"}',
  '{"cmd":"__proto__","req_id":"p"}',
  '{"cmd":"constructor","req_id":"p"}',
  '{"cmd":"event.__proto__","req_id":"p"}',
  '{"cmd":"inbox","req_id":"p","kinds":["__proto__"]}',
  '{"cmd":"inbox","req_id":"p","__proto__":{"limit":0}}',
  '{"cmd":"send","req_id":"p","to":"__proto__","kind":"query","payload":1}',
  '{"cmd":"subscribe","req_id":"p","constructor":{"prototype":{"x":1}},"kinds":["cancel"]}',
];

badInputTest("__proto__ and constructor are names like any other", async ({ client }) => {
  for (const text of PROTO_LINES) {
    const reply = await client.askText(text);
    assertEquals(typeof reply.ok, "boolean");
    assertEquals(reply.req_id, "p", text);
  }
  const polluted: Record<string, unknown> = {};
  assertEquals(
    [polluted.cmd, polluted.limit, polluted.x, polluted.version],
    Array(4).fill(undefined),
  );
  await client.write(
    '{"cmd":"send","req_id":"s","to":"self","kind":"query","payload":{"__proto__":{"a":1},"constructor":2}}\n',
  );
  await client.reply();
  await client.write('{"cmd":"inbox","req_id":"i","kinds":["query"]}\n');
  const text = await client.text();
  assert(text.includes('"payload":{"__proto__":{"a":1},"constructor":2}'), text);
});

badInputTest("wrong types in every field are invalid_command", async ({ client }) => {
  const valid: Record<string, Record<string, unknown>> = {
    send: {
      to: "self",
      kind: "query",
      payload: 1,
      topic: "a",
      ref: "r",
      dedup_key: "d",
      ttl_secs: 9,
    },
    inbox: { limit: 1, kinds: ["query"], topics: ["a"] },
    ack: { up_to_seq: 0 },
    subscribe: { kinds: ["query"], topics: ["a"], replay: false },
  };
  for (const [cmd, fields] of Object.entries(valid)) {
    for (const field of Object.keys(fields).filter((name) => name !== "payload")) {
      for (const value of [{}, [[]], true, "", -1, "\u0000"]) {
        const { ok, error } = await client.ask({ cmd, ...fields, [field]: value });
        const allowed = ok === true && field === "replay" && value === true ||
          ["ref", "dedup_key"].includes(field) && typeof value === "string" ||
          field === "to" && error === "peer_not_found";
        if (!allowed) {
          assertEquals(error, "invalid_command", `${cmd} ${field} ${JSON.stringify(value)}`);
        }
      }
    }
  }
});

badInputTest("half a line at the end is not carried out", async ({ daemon, client, bystander }) => {
  await client.write('{"cmd":"send","req_id":"s","to":"self","kind":"query","payload":1}');
  await client.endWriting();
  const lines = await client.untilClosed();
  assertEquals(lines.filter((line) => line.ok === true), []);
  await bystander.isServed();
  const again = await daemon.v2();
  assertEquals((await again.ask({ cmd: "inbox", kinds: ["query"] })).messages, []);
});

badInputTest("unfinished lines of all connections together are bounded", async (scene) => {
  const half = new Uint8Array(MIB - 1).fill(0x61);
  const before = heldBytes();
  const owner = await scene.daemon.v2();
  await owner.write(half.subarray(0, MIB / 2));
  const clients: RawClient[] = [];
  for (let count = 0; count < 140; count++) {
    const client = await scene.daemon.connect();
    clients.push(client);
    await client.write(half);
    await scene.bystander.isServed();
  }
  const [ended] = await clients[0]!.untilClosed();
  assertEquals(ended?.error, "too_many");
  assertLess(heldBytes() - before, 256 * MIB);
  // Whoever has shown a token is not ended for what strangers hold.
  await owner.write(new TextEncoder().encode("\n"));
  assertEquals((await owner.reply()).error, "invalid_command");
  for (const client of clients) client.close();
});

badInputTest("whole lines before the end of input are answered", async ({ client }) => {
  await client.send({ cmd: "status", req_id: "1" }, { cmd: "inbox", req_id: "2" });
  await client.endWriting();
  assertEquals((await client.untilClosed()).map((line) => line.req_id), ["1", "2"]);
});

badInputTest("a client that disappears in the middle of everything is forgotten", async (scene) => {
  for (let i = 0; i < 20; i++) {
    const client = await scene.daemon.v2();
    await client.ask({ cmd: "subscribe" });
    await client.send(...range(1, 50).map((n) => ({ cmd: "inbox", req_id: `${n}` })));
    await client.write('{"cmd":"sta');
    client.close();
    await scene.bystander.isServed();
  }
});

badInputTest("a conversation byte by byte is the same conversation", async ({ daemon, client }) => {
  const text = '\n{"cmd":"status","req_id":"é🚪"}\r\n\r\n{broken\n{"cmd":"send","req_id":"s",' +
    '"to":"self","kind":"query","payload":"日本"}\n{"cmd":"inbox","req_id":"i","kinds":["query"]}\n';
  for (const byte of new TextEncoder().encode(text)) await client.write(new Uint8Array([byte]));
  assertEquals((await client.reply()).req_id, "é🚪");
  expectError(await client.reply(), "invalid_command");
  assertEquals((await client.reply()).req_id, "s");
  assertEquals(payloadsOf((await client.reply()).messages), ["日本"]);
  assertEquals(typeof daemon.epoch, "string");
});

badInputTest("NUL bytes are content in strings and errors elsewhere", async ({ client }) => {
  expectError(await client.askText("\u0000\u0000\u0000"), "invalid_command");
  expectError(await client.askText('{"cmd":"status","req_id":"a\u0000b"}'), "invalid_command");
  const escaped = await client.askText('{"cmd":"status","req_id":"a\\u0000b"}');
  assertEquals([escaped.ok, escaped.req_id], [true, "a\u0000b"]);
});

badInputTest("a lone surrogate in a string does no harm", async ({ client }) => {
  const reply = await client.askText('{"cmd":"status","req_id":"\\ud800"}');
  assertEquals(typeof reply.ok, "boolean");
  const sent = await client.askText(
    '{"cmd":"send","req_id":"s","to":"self","kind":"query","payload":"\\udfff"}',
  );
  if (sent.ok) {
    const { messages } = await client.ask({ cmd: "inbox", kinds: ["query"] });
    assertEquals(payloadsOf(messages), ["\udfff"]);
  }
});

badInputTest("a req_id of half a megabyte is echoed or refused", async ({ client }) => {
  const req_id = "i".repeat(MIB / 2);
  const reply = await client.askBare({ cmd: "status", req_id });
  if (reply.ok) assertEquals(reply.req_id.length, req_id.length);
  else expectError(reply, "invalid_command");
});

badInputTest("a long unknown command does not come back whole", async ({ client }) => {
  const reply = await client.ask({ cmd: "c".repeat(100_000) });
  expectError(reply, "invalid_command");
  assertLess(JSON.stringify(reply).length, 2000);
  const kinds = await client.ask({ cmd: "inbox", kinds: ["k".repeat(100_000)] });
  assertLess(JSON.stringify(kinds).length, 2000);
});

badInputTest(
  "100,000 requests without reading a reply: the flooder waits, nobody else",
  async (scene) => {
    const { client, bystander } = scene;
    const before = heldBytes();
    const flood = client.write('{"cmd":"status","req_id":"f"}\n'.repeat(100_000));
    // When the test fails before its end, the connection is closed under the writer.
    flood.catch(() => {});
    for (let i = 0; i < 100; i++) {
      await bystander.isServed();
      assertLess(heldBytes() - before, 96 * MIB);
    }
    let replies = 0;
    while (replies < 100_000) {
      assertEquals((await client.reply()).ok, true);
      replies++;
    }
    await flood;
    await client.expectNothingPushed();
  },
);

badInputTest(
  "20,000 sends without reading a reply: all are kept, in order",
  async ({ client, bystander }) => {
    const lines = range(1, 20_000).map((payload) =>
      JSON.stringify({ cmd: "send", req_id: `${payload}`, to: "self", kind: "query", payload }) +
      "\n"
    );
    const flood = client.write(lines.join(""));
    // When the test fails before its end, the connection is closed under the writer.
    flood.catch(() => {});
    for (let i = 0; i < 50; i++) await bystander.isServed();
    let lastSeq = 0;
    for (let i = 1; i <= 20_000; i++) {
      const { req_id, seq } = await client.reply();
      assertEquals(req_id, `${i}`);
      assert(seq > lastSeq);
      lastSeq = seq;
    }
    await flood;
    await client.ask({ cmd: "subscribe", kinds: ["query"] });
    assertEquals(payloadsOf(await client.pushedMany(20_000)), range(1, 20_000));
  },
);

badInputTest("1,000 connections at once are all served", async ({ daemon, bystander }) => {
  const clients: RawClient[] = [];
  for (let i = 0; i < 1000; i++) {
    clients.push(await daemon.connect());
    if (i % 100 === 0) await bystander.isServed();
  }
  await Promise.all(clients.map((client, i) => client.send({ cmd: "status", req_id: `${i}` })));
  for (const [i, client] of clients.entries()) {
    assertEquals((await client.reply()).req_id, `${i}`);
  }
  await bystander.isServed();
  for (const client of clients) client.close();
});

badInputTest("connections come and go without end", async ({ daemon, bystander }) => {
  for (let i = 0; i < 1500; i++) {
    using client = await daemon.connect();
    if (i % 3 === 0) await client.write("x");
    if (i % 3 === 1) await client.send({ cmd: "status" });
    if (i % 100 === 0) await bystander.isServed();
  }
});

/** Bytes that this process, client and daemon together, holds in buffers and on the heap. */
function heldBytes(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
