/** The AXON codec as conversations: what is decoded, what is remembered, how it is written. No socket. */

import { assert, assertEquals } from "@std/assert";
import { AxonCodec, isAxon } from "../../src/codecs/axon.ts";
import type { Codec, Decoded, DecodedMessage } from "../../src/codecs/codec.ts";
import { chooseDialect } from "../../src/codecs/dialects.ts";
import { parseMessage } from "../../src/codecs/json.ts";
import { ERROR_CODES, type ErrorCode, PosternError } from "../../src/core/errors.ts";
import { JsonText } from "../../src/core/text.ts";
import type { LogEvent } from "../../src/core/event.ts";
import { findOperation } from "../../src/operations/registry.ts";

const isOperation = (name: string) => findOperation(name) !== undefined;

/**
 * One step: what the client writes, and what comes of it: an operation that is called, or the code of a
 * refusal. A hello that is called is answered at once.
 */
type Step = readonly [line: string, expected: `-> ${string}` | ErrorCode];

interface Conversation {
  readonly name: string;
  readonly allowV1?: boolean;
  readonly steps: readonly Step[];
  /** Whether it hears the broadcast of v1 in the end. */
  readonly hears?: boolean;
}

const HELLO_2: Step = ['{"cmd":"hello","version":2}', "-> system.hello"];

const CONVERSATIONS: readonly Conversation[] = [
  {
    name: "the commands of version 1 need neither hello nor req_id",
    steps: [
      ['{"cmd":"status"}', "-> system.status"],
      ['{"cmd":"peers"}', "-> peer.list"],
      ['{"cmd":"send","to":"self","kind":"notify","payload":1}', "-> event.send"],
      ['{"cmd":"auth","token":"t"}', "-> auth.login"],
    ],
    hears: true,
  },
  {
    name: "before a hello the commands of version 2 are hello_required, unknown ones are unknown",
    steps: [
      ['{"cmd":"whoami"}', "hello_required"],
      ['{"cmd":"inbox"}', "hello_required"],
      ['{"cmd":"ack","up_to_seq":1}', "hello_required"],
      ['{"cmd":"subscribe"}', "hello_required"],
      ['{"cmd":"event.read"}', "hello_required"],
      ['{"cmd":"nothing"}', "unknown_operation"],
      ['{"cmd":""}', "unknown_operation"],
      ['{"cmd":"constructor"}', "unknown_operation"],
      ['{"cmd":"__proto__"}', "unknown_operation"],
    ],
    hears: false,
  },
  {
    name: "what needs no token may be asked at any time",
    steps: [
      ['{"cmd":"system.ping"}', "-> system.ping"],
      ['{"cmd":"system.status"}', "-> system.status"],
      ['{"cmd":"auth.login","token":"t"}', "-> auth.login"],
      ['{"cmd":"system.hello","version":2}', "-> system.hello"],
    ],
    hears: false,
  },
  {
    name: "after hello 2 every command carries a req_id",
    steps: [
      HELLO_2,
      ['{"cmd":"status"}', "invalid_request"],
      ['{"cmd":"status","req_id":1}', "invalid_request"],
      ['{"cmd":"status","req_id":null}', "invalid_request"],
      ['{"cmd":"status","req_id":""}', "-> system.status"],
      ['{"cmd":"whoami","req_id":"w"}', "-> system.whoami"],
      ['{"cmd":"inbox","req_id":"i"}', "-> event.inbox"],
      ['{"cmd":"ack","req_id":"a"}', "-> event.ack"],
      ['{"cmd":"subscribe","req_id":"s"}', "-> event.subscribe"],
      ['{"cmd":"record.get","req_id":"g"}', "-> record.get"],
      ['{"cmd":"nothing","req_id":"n"}', "-> nothing"],
      ['{"cmd":"hello","version":2}', "-> system.hello"],
    ],
    hears: false,
  },
  {
    name: "a hello names an integer version from 1",
    steps: [
      ['{"cmd":"hello"}', "invalid_params"],
      ['{"cmd":"hello","version":"2"}', "invalid_params"],
      ['{"cmd":"hello","version":0}', "invalid_params"],
      ['{"cmd":"hello","version":1.5}', "invalid_params"],
      ['{"cmd":"hello","version":1e999}', "invalid_params"],
      ['{"cmd":"hello","version":12345678901234567890}', "invalid_params"],
      ['{"cmd":"hello","version":2,"req_id":7}', "invalid_request"],
      ['{"cmd":"inbox","req_id":"i"}', "hello_required"],
      ['{"cmd":"hello","version":9007199254740991}', "-> system.hello"],
      ['{"cmd":"inbox","req_id":"i"}', "-> event.inbox"],
    ],
  },
  {
    name: "hello 1 stays in version 1, and a later hello 2 leaves it",
    steps: [
      ['{"cmd":"hello","version":1}', "-> system.hello"],
      ['{"cmd":"inbox"}', "hello_required"],
      ['{"cmd":"status"}', "-> system.status"],
      HELLO_2,
      ['{"cmd":"inbox","req_id":"i"}', "-> event.inbox"],
    ],
    hears: false,
  },
  {
    name: "hello 1 after hello 2 goes back",
    steps: [
      HELLO_2,
      ['{"cmd":"hello","version":1}', "-> system.hello"],
      ['{"cmd":"inbox","req_id":"i"}', "hello_required"],
      ['{"cmd":"status"}', "-> system.status"],
    ],
    hears: true,
  },
  {
    name: "without version 1 nothing goes before hello 2",
    allowV1: false,
    steps: [
      ['{"cmd":"status"}', "hello_required"],
      ['{"cmd":"auth","token":"t"}', "hello_required"],
      ['{"cmd":"system.ping"}', "hello_required"],
      ['{"cmd":"nothing"}', "hello_required"],
      ['{"cmd":"hello","version":1}', "unsupported_version"],
      ['{"cmd":"status"}', "hello_required"],
      HELLO_2,
      ['{"cmd":"status","req_id":"s"}', "-> system.status"],
      ['{"cmd":"hello","version":1}', "unsupported_version"],
      ['{"cmd":"inbox","req_id":"i"}', "-> event.inbox"],
    ],
    hears: false,
  },
  {
    name: "what is no command is refused, and the next one is not",
    steps: [
      ["[]", "invalid_request"],
      ["1", "invalid_request"],
      ["null", "invalid_request"],
      ["12345678901234567890", "invalid_request"],
      ["{}", "invalid_request"],
      ['{"cmd":1}', "invalid_request"],
      ['{"cmd":["status"]}', "invalid_request"],
      ['{"__proto__":{"cmd":"status"}}', "invalid_request"],
      ['{"cmd":"status"}', "-> system.status"],
    ],
  },
  {
    name: "send requires to, event.send does not",
    steps: [
      HELLO_2,
      ['{"cmd":"send","req_id":"s","kind":"notify","payload":1}', "invalid_params"],
      ['{"cmd":"send","req_id":"s","__proto__":{"to":"self"}}', "invalid_params"],
      ['{"cmd":"event.send","req_id":"s","kind":"notify","payload":1}', "-> event.send"],
    ],
  },
];

for (const { name, allowV1 = true, steps, hears } of CONVERSATIONS) {
  Deno.test(name, () => {
    const codec = axon(allowV1);
    for (const [line, expected] of steps) {
      const message = parseMessage(line);
      const decoded = only(codec.decode(message));
      const found = "call" in decoded ? `-> ${decoded.call.operation}` : decoded.refusal.code;
      assertEquals(found, expected, line);
      if (found === "-> system.hello") codec.encodeResult(decoded.tag, {});
    }
    if (hears !== undefined) assertEquals(codec.hearsBroadcast, hears);
  });
}

function only({ requests, isBatch }: DecodedMessage): Decoded {
  assertEquals([requests.length, isBatch], [1, false]);
  return requests[0]!;
}

/** A codec as the server knows it, to which a tag is opaque. */
function axon(allowV1 = true): Codec {
  return new AxonCodec({ allowV1, isOperation });
}

/** A codec that has negotiated version 2. */
function version2(): Codec {
  const codec = axon();
  codec.encodeResult(only(codec.decode({ cmd: "hello", version: 2 })).tag, {});
  return codec;
}

function reply(codec: Codec, message: unknown, result: unknown): string {
  return codec.encodeResult(only(codec.decode(message)).tag, result)!;
}

Deno.test("a hello counts only once it is answered", () => {
  const codec = axon();
  const { tag } = only(codec.decode({ cmd: "hello", version: 2 }));
  codec.encodeError(tag, new PosternError("invalid_params", "no"));
  assertEquals(
    (only(codec.decode({ cmd: "inbox", req_id: "i" })) as { refusal: PosternError }).refusal.code,
    "hello_required",
  );
});

Deno.test("each reply carries the req_id of its own request, whatever is in it", () => {
  const codec = version2();
  const ids = ["1", "", 'a"\\\n', "é🚪", "\u0000", "x".repeat(10_000)];
  const tags = ids.map((req_id) => only(codec.decode({ cmd: "status", req_id })).tag);
  for (const [i, tag] of tags.entries()) {
    assertEquals(JSON.parse(codec.encodeResult(tag, { a: 1 })!), {
      ok: true,
      req_id: ids[i],
      a: 1,
    });
    const error = codec.encodeError(tag, new PosternError("not_found", "no"));
    assertEquals(JSON.parse(error!).req_id, ids[i]);
  }
});

Deno.test("a refused command still has its req_id in the error", () => {
  const codec = axon();
  const decoded = only(codec.decode({ cmd: "inbox", req_id: "x" })) as {
    tag: unknown;
    refusal: PosternError;
  };
  assertEquals(
    JSON.parse(codec.encodeError(decoded.tag, decoded.refusal)!),
    { ok: false, req_id: "x", error: "hello_required", message: decoded.refusal.message },
  );
});

Deno.test("replies of the spec's own commands have the spec's own shapes", () => {
  const codec = version2();
  const parse = (message: unknown, result: unknown) => JSON.parse(reply(codec, message, result));
  assertEquals(parse({ cmd: "auth", req_id: "a" }, { scopes: ["read"] }), {
    ok: true,
    req_id: "a",
    auth: "accepted",
  });
  assertEquals(
    parse({ cmd: "subscribe", req_id: "s" }, {
      subscription_id: "s1",
      replayed: 3,
      replay_to_seq: 7,
    }),
    { ok: true, req_id: "s", subscribed: true, replayed: 3, replay_to_seq: 7 },
  );
  assertEquals(
    parse({ cmd: "event.subscribe", req_id: "s" }, { subscription_id: "s1", replayed: 0 }),
    { ok: true, req_id: "s", subscription_id: "s1", replayed: 0 },
  );
  const hello = parse({ cmd: "hello", version: 7 }, { version: "0.1.0", epoch: "e" });
  assertEquals(hello, { ok: true, version: 2, daemon_max_version: 2, epoch: "e" });
});

Deno.test("a result that is no object comes as result, and undefined fields not at all", () => {
  const codec = version2();
  const request = { cmd: "record.list", req_id: "r" };
  for (const result of [[1, 2], "x", 5, null, true]) {
    assertEquals(JSON.parse(reply(codec, request, result)), { ok: true, req_id: "r", result });
  }
  assertEquals(
    reply(codec, request, { a: undefined, b: null }),
    '{"ok":true,"req_id":"r","b":null}',
  );
  assertEquals(reply(codec, request, {}), '{"ok":true,"req_id":"r"}');
});

Deno.test("text that is JSON already goes into a reply to the letter", () => {
  const codec = version2();
  const text = '[{"n":12345678901234567890,"x":1.0}]';
  const line = reply(codec, { cmd: "inbox", req_id: "i" }, {
    messages: new JsonText(text),
    more: false,
  });
  assertEquals(line, `{"ok":true,"req_id":"i","messages":${text},"more":false}`);
});

/** AXON's words for our codes, as docs/protocol/axon.md has them; whatever is not here is the same in both. */
const OTHER_WORDS: Partial<Record<ErrorCode, string>> = {
  parse_error: "invalid_command",
  invalid_request: "invalid_command",
  unknown_operation: "invalid_command",
  invalid_params: "invalid_command",
  too_large: "invalid_command",
  internal: "internal_error",
};

for (const code of ERROR_CODES) {
  const word = OTHER_WORDS[code] ?? code;
  Deno.test(`${code} is ${word} in AXON, with its message and its details`, () => {
    const codec = axon();
    const error = new PosternError(code, 'a "message"', { limit: 5, field: null });
    assertEquals(JSON.parse(codec.encodeError(null, error)!), {
      ok: false,
      error: word,
      ...(word === code ? {} : { code }),
      message: 'a "message"',
      limit: 5,
      field: null,
    });
  });
}

Deno.test("details cannot stand in the place of what every error has", () => {
  const codec = version2();
  const { tag } = only(codec.decode({ cmd: "status", req_id: "s" }));
  const details = { ok: true, req_id: "other", error: "fine", message: "fine", limit: 1 };
  const line = JSON.parse(codec.encodeError(tag, new PosternError("conflict", "no", details))!);
  assertEquals(line, { ok: false, req_id: "s", error: "conflict", message: "no", limit: 1 });
});

const EVENT: LogEvent = {
  seq: 7,
  bufferedAtMs: 1_700_000_000_000,
  kind: "notify",
  topic: null,
  expiresAtMs: null,
  envelope: '{"v":1,"payload":1.0}',
};

Deno.test("an event is pushed with its envelope to the letter, and a gap before it when there is one", () => {
  const codec = version2();
  const at = { subscriptionId: "s", replay: true, gap: null };
  assertEquals(
    codec.encodeEvent(EVENT, at),
    '{"event":"inbound","replay":true,"seq":7,"buffered_at_ms":1700000000000,"envelope":{"v":1,"payload":1.0}}',
  );
  const gap = { from_seq: 2, to_seq: 6 };
  assertEquals(JSON.parse(codec.encodeEvent(EVENT, { ...at, replay: false, gap })), {
    event: "inbound",
    replay: false,
    seq: 7,
    buffered_at_ms: 1_700_000_000_000,
    envelope: { v: 1, payload: 1 },
    gap,
  });
});

Deno.test("a broadcast has inbound and envelope, and a gap when there is one", () => {
  const codec = version2();
  assertEquals(codec.encodeBroadcast(EVENT, null), `{"inbound":true,"envelope":${EVENT.envelope}}`);
  const { gap } = JSON.parse(codec.encodeBroadcast(EVENT, { from_seq: 1, to_seq: 6 }));
  assertEquals(gap, { from_seq: 1, to_seq: 6 });
});

Deno.test("only deliveries that give the same text share it", () => {
  const codec = version2();
  for (const replay of [true, false]) {
    const [one, two] = ["s1", "s2"].map((subscriptionId) =>
      codec.encodeEvent(EVENT, { subscriptionId, replay, gap: null })
    );
    assertEquals(one, two);
    assertEquals(codec.sharedEncoding({ replay }), version2().sharedEncoding({ replay }));
  }
  assert(codec.sharedEncoding({ replay: true }) !== codec.sharedEncoding({ replay: false }));
});

Deno.test("without a token version 1 opens its own commands, version 2 none", () => {
  const first = axon();
  const open = (codec: Codec) =>
    ["event.send", "peer.list", "system.status", "event.inbox", "system.whoami", "system.shutdown"]
      .filter((operation) => codec.opens(operation));
  assertEquals(open(first), ["event.send", "peer.list"]);
  assertEquals(open(version2()), []);
});

Deno.test("a silent connection listens as version 1, where that is spoken", () => {
  for (const allowV1 of [true, false]) {
    const codec = new AxonCodec({ allowV1, isOperation });
    assertEquals(codec.hearsBroadcast, false);
    codec.listenAsV1();
    assertEquals(codec.hearsBroadcast, allowV1);
  }
});

Deno.test("a first message with cmd of its own chooses AXON, with method or as an array JSON-RPC, nothing else any", () => {
  for (const line of ['{"cmd":1}', '{"cmd":null,"hello":{},"method":"x"}']) {
    assert(isAxon(parseMessage(line)), line);
    assertEquals(
      chooseDialect(parseMessage(line), { allowV1: true, isOperation })?.dialect,
      "axon",
    );
  }
  for (
    const line of [
      "1",
      '"cmd"',
      "null",
      "{}",
      '{"CMD":1}',
      '{"__proto__":{"cmd":1}}',
    ]
  ) {
    assertEquals(chooseDialect(parseMessage(line), { allowV1: true, isOperation }), null, line);
  }
  for (const line of ["[]", '["cmd"]', '{"method":1}', '{"jsonrpc":"2.0","method":"x"}']) {
    const chosen = chooseDialect(parseMessage(line), { allowV1: true, isOperation });
    assertEquals(chosen?.dialect, "json-rpc", line);
  }
});
