/** JSON-RPC as tables of conversation: text in, calls out; outcomes in, text out. No socket. */

import { assertEquals } from "@std/assert";
import type { Decoded } from "../../src/codecs/codec.ts";
import { parseMessage } from "../../src/codecs/json.ts";
import { JsonRpcCodec } from "../../src/codecs/json_rpc.ts";
import { ERROR_CODES, type ErrorCode, PosternError } from "../../src/core/errors.ts";
import { JsonText } from "../../src/core/text.ts";

/** What a line becomes: each call as `method params`, each refusal as its code. */
function decoded(line: string): string[] {
  return new JsonRpcCodec().decode(parseMessage(line)).requests.map((request) =>
    "call" in request
      ? `${request.call.operation} ${JSON.stringify(request.call.params)}`
      : request.refusal.code
  );
}

function only(codec: JsonRpcCodec, line: string): Decoded {
  return codec.decode(parseMessage(line)).requests[0]!;
}

/** How the codec answers the request in a line. */
function answer(line: string, result: unknown): string | null {
  const codec = new JsonRpcCodec();
  // deno-lint-ignore no-explicit-any
  return codec.encodeResult(only(codec, line).tag as any, result);
}

const REQUESTS: Record<string, string[]> = {
  '{"jsonrpc":"2.0","id":1,"method":"a.b","params":{"x":1}}': ['a.b {"x":1}'],
  '{"jsonrpc":"2.0","method":"a.b"}': ["a.b {}"],
  '{"id":"1","method":"a.b","params":{}}': ["a.b {}"],
  '{"jsonrpc":"1.0","id":1,"method":"a.b"}': ["invalid_request"],
  '{"jsonrpc":"2.0","id":1}': ["invalid_request"],
  '{"jsonrpc":"2.0","id":1,"method":7}': ["invalid_request"],
  '{"jsonrpc":"2.0","id":{},"method":"a.b"}': ["invalid_request"],
  '{"jsonrpc":"2.0","id":true,"method":"a.b"}': ["invalid_request"],
  '{"jsonrpc":"2.0","id":1,"method":"a.b","params":[1]}': ["invalid_params"],
  '{"jsonrpc":"2.0","id":1,"method":"a.b","params":null}': ["invalid_params"],
  '[{"id":1,"method":"a.b"},3,[],{"id":2,"method":"c.d"}]': [
    "a.b {}",
    "invalid_request",
    "invalid_request",
    "c.d {}",
  ],
  "[]": ["invalid_request"],
  '{"id":1,"method":"event.subscribe","params":{"topics":["a"]}}': [
    'event.subscribe {"channels":["a"]}',
  ],
  '{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{"topics":["a"]}}': [
    'event.subscribe {"topics":["a"]}',
  ],
};

for (const [line, expected] of Object.entries(REQUESTS)) {
  Deno.test(`${line} is ${expected.join(", ")}`, () => assertEquals(decoded(line), expected));
}

Deno.test("params that are null are refused like any that are no object", () => {
  assertEquals(decoded('{"id":1,"method":"a","params":null}'), ["invalid_params"]);
});

const IDS = ["1", '"1"', "null", "-7", "1.5", "12345678901234567890", '"é\\n"'];

for (const id of IDS) {
  Deno.test(`the id ${id} comes back as it was, in both forms`, () => {
    const request = `"id":${id},"method":"a.b"}`;
    const expected = `"id":${id},"result":{}}`;
    assertEquals(answer(`{"jsonrpc":"2.0",${request}`, {}), `{"jsonrpc":"2.0",${expected}`);
    assertEquals(answer(`{${request}`, {}), `{${expected}`);
  });
}

Deno.test("a notification is never answered", () => {
  const codec = new JsonRpcCodec();
  const { tag } = only(codec, '{"jsonrpc":"2.0","method":"a.b"}');
  // deno-lint-ignore no-explicit-any
  assertEquals(codec.encodeResult(tag as any, {}), null);
  // deno-lint-ignore no-explicit-any
  assertEquals(codec.encodeError(tag as any, new PosternError("internal", "no")), null);
  const wrong = only(codec, '{"jsonrpc":"2.0","method":"a.b","params":[]}') as {
    refusal: PosternError;
    tag: unknown;
  };
  // deno-lint-ignore no-explicit-any
  assertEquals(codec.encodeError(wrong.tag as any, wrong.refusal), null);
});

Deno.test("what is wrong with a request that has no id is said with the id null", () => {
  const codec = new JsonRpcCodec();
  const request = only(codec, '{"jsonrpc":"2.0","method":7}') as {
    refusal: PosternError;
    tag: unknown;
  };
  // deno-lint-ignore no-explicit-any
  const said = JSON.parse(codec.encodeError(request.tag as any, request.refusal)!);
  assertEquals([said.id, said.error.code], [null, -32600]);
});

Deno.test("text that is JSON already goes into a result as it is", () => {
  const text = '[{"n":12345678901234567890}]';
  const result = { messages: new JsonText(text), next_seq: 1 };
  assertEquals(
    answer('{"id":1,"method":"a"}', result),
    `{"id":1,"result":{"messages":${text},"next_seq":1}}`,
  );
});

const NUMBERS: Partial<Record<ErrorCode, number>> = {
  parse_error: -32700,
  invalid_request: -32600,
  too_large: -32600,
  unknown_operation: -32601,
  invalid_params: -32602,
  internal: -32603,
  not_originator: -32001,
  timeout: -32002,
};

for (const code of ERROR_CODES) {
  Deno.test(`${code} has its number, and names itself in data`, () => {
    const number = NUMBERS[code] ?? -32000;
    for (
      const [head, expected] of [['"jsonrpc":"2.0",', number], [
        "",
        number === -32001 ? -32000 : number,
      ]] as const
    ) {
      const codec = new JsonRpcCodec();
      const { tag } = only(codec, `{${head}"id":1,"method":"a"}`);
      const error = new PosternError(code, "no", { limit: 3, code: "forged" });
      // deno-lint-ignore no-explicit-any
      const said = JSON.parse(codec.encodeError(tag as any, error)!);
      assertEquals(said.error, { code: expected, message: "no", data: { limit: 3, code } });
      assertEquals("jsonrpc" in said, head !== "");
    }
  });
}

Deno.test("an error that belongs to no request is said in the form spoken last", () => {
  const codec = new JsonRpcCodec();
  const error = new PosternError("parse_error", "no");
  assertEquals(JSON.parse(codec.encodeError(null, error)!).jsonrpc, "2.0");
  codec.decode({ id: 1, method: "a" });
  assertEquals("jsonrpc" in JSON.parse(codec.encodeError(null, error)!), false);
});

Deno.test("a batch of more than 1,000 requests is refused as one", () => {
  const batch = Array.from({ length: 1001 }, (_, id) => ({ id, method: "a" }));
  assertEquals(decoded(JSON.stringify(batch)), ["invalid_request"]);
  assertEquals(decoded(JSON.stringify(batch.slice(1))).length, 1000);
});
