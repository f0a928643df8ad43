/** The client's side of AXON as text: what goes out, and what a line means. */

import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { decodeLine, encodeParams, encodeRequest } from "../../src/client/axon.ts";
import { ConnectionError, PosternError } from "../../src/client/mod.ts";

Deno.test("a request is one line that names its command and its id", () => {
  assertEquals(encodeRequest("7", "status", "{}"), '{"cmd":"status","req_id":"7"}\n');
  assertEquals(
    encodeRequest("8", "ack", '{"up_to_seq":3}'),
    '{"cmd":"ack","req_id":"8","up_to_seq":3}\n',
  );
});

Deno.test("parameters given as text go out as they were written, on one line", () => {
  const params = encodeParams(
    "send",
    '{\n  "payload": 12345678901234567890.10,\r\n "kind":"notify"\n}\n',
  );
  const request = encodeRequest("1", "send", params);
  assertEquals(request.indexOf("\n"), request.length - 1);
  assertEquals(request.includes("12345678901234567890.10"), true);
});

for (
  const params of ["[]", "7", "null", "{", '{"cmd":"x"}', '{"a":1,"req_id":"2"}', { cmd: 1 }, []]
) {
  Deno.test(`parameters that cannot be sent are refused: ${JSON.stringify(params)}`, () => {
    const error = assertThrows(() => encodeParams("x.y", params), PosternError);
    assertEquals(error.code, "invalid_params");
  });
}

Deno.test("a result is what the reply has beside its id", () => {
  assertEquals(decodeLine('{"ok":true,"req_id":"3","acked_seq":5}'), {
    type: "reply",
    reqId: "3",
    result: { acked_seq: 5 },
  });
});

Deno.test("a result that is no object comes out of its wrapping", () => {
  assertEquals(decodeLine('{"ok":true,"req_id":"3","result":[1,2]}'), {
    type: "reply",
    reqId: "3",
    result: [1, 2],
  });
});

Deno.test("an error gets our code, the daemon's message and its details", () => {
  const received = decodeLine(
    '{"ok":false,"req_id":"4","error":"invalid_command","message":"no","field":"kind"}',
  );
  if (received.type !== "refusal") throw new Error(received.type);
  assertEquals(received.reqId, "4");
  assertEquals(received.error.code, "invalid_request");
  assertEquals(received.error.message, "no");
  assertEquals(received.error.details, { field: "kind" });
});

Deno.test("an error code from the future counts as internal, and its name is told", () => {
  const received = decodeLine('{"ok":false,"error":"out_of_cheese"}');
  if (received.type !== "refusal") throw new Error(received.type);
  assertEquals(received.error.code, "internal");
  assertEquals(received.error.message.includes("out_of_cheese"), true);
});

Deno.test("a pushed event is told from a reply by its field event", () => {
  const received = decodeLine('{"event":"inbound","replay":true,"seq":9,"envelope":{}}');
  assertEquals(received.type, "event");
});

Deno.test("lines that a later daemon may send are passed over", () => {
  assertEquals(decodeLine('{"event":"news"}').type, "other");
  assertEquals(decodeLine('{"inbound":true,"envelope":{}}').type, "other");
});

for (const text of ["", "{", "[]", "7", "null", '"x"']) {
  Deno.test(`a line that no daemon sends is an error: ${JSON.stringify(text)}`, () => {
    const error = assertThrows(() => decodeLine(text), ConnectionError);
    assertInstanceOf(error, ConnectionError);
    assertEquals(error.code, "EPROTO");
  });
}
