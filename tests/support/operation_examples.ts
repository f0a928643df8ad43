/**
 * Parameters that are right for each operation: the one table that a new operation is put into, for all tests that go
 * through every operation.
 *
 * The type check holds it to the registry's names and types. Its order is one in which they can be carried out on a
 * fresh daemon by one connection, `system.shutdown` last.
 */

import type { OperationName, OperationParams } from "../../src/client/mod.ts";

/** What the parameters are made of. */
export interface Given {
  /** The owner's. */
  readonly token: string;
  /** What the operation before has named: a subscription, a turn, a request, a lease. */
  readonly id: string;
  /** Public name of the caller. */
  readonly own: string;
  /** Stands where people and programs write what they want. */
  readonly text: string;
}

type Make<N extends OperationName> = (given: Given) => OperationParams<N>;

const NOTHING = () => ({});

/** For each operation the ways in which it is asked and its result can look; the fullest first. */
export const EXAMPLES: { readonly [N in OperationName]: readonly Make<N>[] } = {
  "system.hello": [() => ({ client_kind: "test" }), NOTHING],
  "system.ping": [NOTHING],
  "echo.ping": [({ text }) => ({ text })],
  "system.status": [NOTHING],
  "system.whoami": [NOTHING],
  "system.operations": [NOTHING],
  "auth.login": [({ token }) => ({ token })],
  "event.send": [
    ({ text }) => ({ to: "self", ...notice(text), topic: "a.b", dedup_key: "k", ttl_secs: 5 }),
    ({ text }) => notice(text),
    ({ text }) => ({ ...notice(text), dedup_key: "k" }),
    ({ text }) => ({ events: [notice(text), { ...notice(text), dedup_key: "k" }] }),
  ],
  "event.inbox": [NOTHING, () => ({ consumer: "nobody", topics: ["no.such"] })],
  "event.ack": [() => ({ up_to_seq: 1 })],
  "event.read": [() => ({ after: 1, limit: 2 }), () => ({ kinds: ["query"] })],
  "event.subscribe": [() => ({ replay: false })],
  "event.unsubscribe": [({ id }) => ({ subscription_id: id })],
  "consumer.list": [NOTHING],
  "consumer.remove": [() => ({ consumer: "default" })],
  "peer.list": [NOTHING],
  "auth.access": [({ token }) => ({ token }), NOTHING],
  "record.define": [
    () => ({
      name: "a.b",
      buffer_type: "spmc_ring",
      capacity: 3,
      writable: true,
      schema: { type: "string", maxLength: 40 },
    }),
    () => ({ name: "c", volatile: true }),
  ],
  "record.set": [({ text }) => ({ name: "a.b", value: text })],
  "record.get": [() => ({ name: "a.b" })],
  "record.list": [NOTHING],
  "record.history": [() => ({ name: "a.b", limit: 2 })],
  "record.subscribe": [() => ({ name: "a.>", send_initial: false })],
  "record.unsubscribe": [({ id }) => ({ subscription_id: id })],
  "record.remove": [() => ({ name: "a.b" })],
  "session.create": [
    ({ text }) => ({ session_id: "s", runner: "echo", title: text }),
    NOTHING,
  ],
  "session.attach": [() => ({ runner: "echo" })],
  "session.list": [NOTHING],
  "session.reply": [({ text }) => ({ session_id: "s", text, target: "all" })],
  "session.send": [({ text }) => ({ session_id: "s", text, data: null })],
  "session.get": [() => ({ session_id: "s" })],
  "turn.emit": [({ id, text }) => ({ turn_id: id, type: "delta", data: text })],
  "session.cancel": [({ id }) => ({ turn_id: id })],
  "permission.request": [({ text }) => ({ tool: "T", input: { text }, rationale: text })],
  "permission.list": [NOTHING],
  "permission.refresh_timeout": [({ id }) => ({ request_id: id, extend_s: 1 })],
  "permission.delegate": [({ id, own }) => ({ request_id: id, to: own })],
  "permission.answer": [
    ({ id, text }) => ({ request_id: id, result: { approve: true, text, more: [1] } }),
  ],
  "permission.demo": [({ text }) => ({ tool: "T", input: { text } })],
  "permission.cancel": [({ id }) => ({ request_id: id })],
  "permission.wait": [({ id }) => ({ request_id: id })],
  "lease.acquire": [() => ({ name: "l", ttl_secs: 60, release_on_disconnect: true })],
  "lease.list": [NOTHING],
  "lease.renew": [({ id }) => ({ lease_id: id })],
  "lease.release": [({ id }) => ({ lease_id: id })],
  "client.list": [NOTHING],
  "service.list": [NOTHING],
  "service.register": [() => ({ name: "x", methods: [{ name: "y" }] })],
  "service.call": [({ text }) => ({ service: "z", method: "y", params: { text } })],
  "service.cancel": [() => ({ call_id: "none" })],
  "service.answer": [({ text }) => ({ id: "c0", result: text })],
  "token.create": [
    () => ({ name: "one", scopes: ["read", "send"], expires_in_secs: 60 }),
    () => ({ name: "two", scopes: ["read"] }),
  ],
  "token.list": [NOTHING],
  "token.revoke": [() => ({ id: "one" })],
  "token.rotate": [NOTHING],
  "system.shutdown": [NOTHING],
};

function notice(text: string) {
  return { kind: "notify", payload: { text, list: [1, "é"] } } as const;
}
