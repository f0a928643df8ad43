/** AimX as tables of conversation: text in, calls out; outcomes in, text out. No socket. */

import { assertEquals } from "@std/assert";
import { AimxCodec, isAimx } from "../../src/codecs/aimx.ts";
import type { Decoded } from "../../src/codecs/codec.ts";
import { parseMessage } from "../../src/codecs/json.ts";
import { ERROR_CODES, PosternError } from "../../src/core/errors.ts";
import { JsonText } from "../../src/core/text.ts";
import { AIMX_WORDS } from "../support/aimx_client.ts";

const HELLO = '{"hello":{"version":"1.0"}}';

/** Our only use of a tag is to hand it back. */
interface AnyTag {
  readonly id: string | null;
  readonly method: string;
}

function only(codec: AimxCodec, line: string): Decoded & { readonly tag: AnyTag } {
  const { requests, isBatch } = codec.decode(parseMessage(line));
  assertEquals([requests.length, isBatch], [1, false]);
  return requests[0] as Decoded & { readonly tag: AnyTag };
}

/** What a line becomes: a call as `method params`, a refusal as its code. */
function decoded(line: string): string {
  const request = only(new AimxCodec(), line);
  if ("refusal" in request) return request.refusal.code;
  return `${request.call.operation} ${JSON.stringify(request.call.params)}`;
}

/** A codec whose connection was welcomed. */
function welcomed(): AimxCodec {
  const codec = new AimxCodec();
  codec.encodeResult(only(codec, HELLO).tag, {});
  return codec;
}

const BEGINNINGS: Record<string, boolean> = {
  [HELLO]: true,
  '{"hello":{}}': true,
  '{"hello":{"version":"9"},"id":1,"method":"x"}': true,
  '{"hello":"1.0"}': false,
  '{"hello":null}': false,
  '{"hello":[]}': false,
  '{"hello":1e999}': false,
  '{"id":1,"method":"record.list"}': false,
  "[]": false,
  "7": false,
  "null": false,
};

for (const [line, expected] of Object.entries(BEGINNINGS)) {
  Deno.test(`${line} ${expected ? "begins" : "does not begin"} AimX`, () => {
    assertEquals(isAimx(parseMessage(line)), expected);
  });
}

const REQUESTS: Record<string, string> = {
  [HELLO]: "auth.access {}",
  '{"hello":{"version":"1.4","client":"c","auth_token":"t","capabilities":[]}}':
    'auth.access {"token":"t"}',
  '{"hello":{"version":"2.0"}}': "unsupported_version",
  '{"hello":{"version":"one"}}': "invalid_request",
  '{"hello":{"version":1}}': "invalid_request",
  '{"hello":{}}': "invalid_request",
  '{"hello":{"version":"1.0","client":[]}}': "invalid_request",
  '{"hello":{"version":"1.0","auth_token":null}}': "invalid_request",
  '{"hello":"1.0"}': "invalid_request",
  '{"id":1,"method":"a.b"}': "a.b {}",
  '{"id":1,"method":"a.b","params":{"x":[1]}}': 'a.b {"x":[1]}',
  '{"id":1,"method":"a.b","params":null}': "invalid_params",
  '{"id":1,"method":"a.b","params":[]}': "invalid_params",
  '{"id":1,"method":"a.b","params":1e999}': "invalid_params",
  '{"id":1,"method":""}': "invalid_request",
  '{"id":1,"method":5}': "invalid_request",
  '{"id":1}': "invalid_request",
  '{"method":"a.b"}': "invalid_request",
  '{"id":"1","method":"a.b"}': "invalid_request",
  '{"id":1.5,"method":"a.b"}': "invalid_request",
  '{"id":1e999,"method":"a.b"}': "invalid_request",
  "[1]": "invalid_request",
  "7": "invalid_request",
  "null": "invalid_request",
};

for (const [line, expected] of Object.entries(REQUESTS)) {
  Deno.test(`${line} is ${expected}`, () => assertEquals(decoded(line), expected));
}

for (const id of ["1", "0", "-7", "9007199254740993", "123456789012345678901234567890"]) {
  Deno.test(`the id ${id} comes back as it was written`, () => {
    const codec = new AimxCodec();
    const { tag } = only(codec, `{"id":${id},"method":"a.b"}`);
    assertEquals(codec.encodeResult(tag, {}), `{"id":${id},"result":{}}`);
  });
}

Deno.test("a welcome has the fields of the protocol and no other", () => {
  const codec = new AimxCodec();
  const { tag } = only(codec, HELLO);
  const access = {
    authenticated: true,
    permissions: ["read"],
    writable_records: ["x"],
    max_subscriptions: 3,
    more: 1,
  };
  const { welcome } = JSON.parse(codec.encodeResult(tag, access));
  assertEquals(Object.keys(welcome).sort(), [
    "authenticated",
    "max_subscriptions",
    "permissions",
    "server",
    "version",
    "writable_records",
  ]);
});

Deno.test("text that is JSON already goes into a result as it is, an array too", () => {
  const codec = welcomed();
  const { tag } = only(codec, '{"id":1,"method":"a"}');
  const value = new JsonText("[12345678901234567890]");
  assertEquals(
    codec.encodeResult(tag, { value, sequence: 1 }),
    '{"id":1,"result":{"value":[12345678901234567890],"sequence":1}}',
  );
  assertEquals(codec.encodeResult(tag, [{ a: 1 }]), '{"id":1,"result":[{"a":1}]}');
});

for (const code of ERROR_CODES) {
  Deno.test(`${code} is ${AIMX_WORDS[code]}, and details name ours`, () => {
    const codec = welcomed();
    const { tag } = only(codec, '{"id":1,"method":"a"}');
    const error = new PosternError(code, "no", { limit: 3, code: "forged" });
    assertEquals(JSON.parse(codec.encodeError(tag, error)), {
      id: 1,
      error: { code: AIMX_WORDS[code], message: "no", details: { limit: 3, code } },
    });
  });
}

Deno.test("the twelve codes are all there are", () => {
  const words = new Set([...Object.values(AIMX_WORDS), "NO_BUFFER"]);
  assertEquals(words.size, 12);
});

Deno.test("a value that is missing is NO_VALUE, a history that is missing NO_BUFFER", () => {
  const codec = welcomed();
  const error = new PosternError("no_value", "no");
  for (const [method, word] of [["record.get", "NO_VALUE"], ["record.history", "NO_BUFFER"]]) {
    const { tag } = only(codec, `{"id":1,"method":"${method}"}`);
    assertEquals(JSON.parse(codec.encodeError(tag, error)).error.code, word);
  }
});

Deno.test("retry_after_ms stands beside the code, not in the details", () => {
  const codec = welcomed();
  const { tag } = only(codec, '{"id":1,"method":"a"}');
  const error = new PosternError("rate_limited", "no", { retry_after_ms: 250, limit: 5 });
  assertEquals(JSON.parse(codec.encodeError(tag, error)).error, {
    code: "QUEUE_FULL",
    message: "no",
    details: { limit: 5, code: "rate_limited" },
    retry_after_ms: 250,
  });
});

Deno.test("an error of no request has the id null, before a welcome too, and ends nothing", () => {
  for (const codec of [new AimxCodec(), welcomed()]) {
    const { id, error } = JSON.parse(
      codec.encodeError(null, new PosternError("parse_error", "no")),
    );
    assertEquals([id, error.code, codec.isOver], [null, "PROTOCOL_ERROR", false]);
  }
});

Deno.test("a refused first hello ends the conversation, a refused second one does not", () => {
  const codec = new AimxCodec();
  const refused = only(codec, '{"hello":{"version":"2.0"}}');
  const error = new PosternError("unsupported_version", "no");
  assertEquals(Object.keys(JSON.parse(codec.encodeError(refused.tag, error))), ["error"]);
  assertEquals(codec.isOver, true);
  const second = welcomed();
  const again = only(second, HELLO) as { refusal: PosternError; tag: AnyTag };
  assertEquals(again.refusal.code, "invalid_request");
  assertEquals(Object.keys(JSON.parse(second.encodeError(again.tag, again.refusal))), ["error"]);
  assertEquals(second.isOver, false);
});

Deno.test("reading records is open without a token, and nothing else", () => {
  const codec = new AimxCodec();
  for (const operation of ["list", "get", "history", "subscribe", "unsubscribe"]) {
    assertEquals(codec.opens(`record.${operation}`), true, operation);
  }
  const closed = ["record.set", "record.define", "record.remove", "event.read", "event.send"];
  for (const operation of [...closed, "system.shutdown"]) {
    assertEquals(codec.opens(operation), false);
  }
});

const UPDATE = {
  name: "a.b",
  sequence: 7,
  atMs: 1_700_000_000_123,
  timestamp: "1700000000.123000000",
  value: '{"n":12345678901234567890}',
};

for (const dropped of [0, 3]) {
  Deno.test(`an update with ${dropped} dropped is one event, its value as it was written`, () => {
    const text = new AimxCodec().encodeRecordEvent(UPDATE, { subscriptionId: "sub-1", dropped });
    assertEquals(
      text,
      '{"event":{"subscription_id":"sub-1","name":"a.b","sequence":7,' +
        '"data":{"n":12345678901234567890},"timestamp":"1700000000.123000000"' +
        `${dropped === 0 ? "" : ',"dropped":3'}}}`,
    );
  });
}
