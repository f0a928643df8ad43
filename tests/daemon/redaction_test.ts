/**
 * Nothing secret is told to those whom it does not concern: after a run that used every operation in every way of
 * talking, rightly and wrongly, neither the logs, the audit, the metrics, the health nor any error holds a token, a
 * client_id, a payload or a record's value.
 */

import { assert, assertEquals } from "@std/assert";
import type { OperationName } from "../../src/client/mod.ts";
import { shown, withoutSecrets } from "../../src/core/errors.ts";
import { OPERATIONS } from "../../src/operations/registry.ts";
import { HttpClient } from "../support/http_client.ts";
import { EXAMPLES } from "../support/operation_examples.ts";
import { startProcess, TestDirectory } from "../support/process.ts";
import { type Line, RawClient } from "../support/raw_client.ts";
import { type Open, type Sockets, TALKERS, type Told } from "../support/talkers.ts";

const CONFIG = {
  records: { policy: "read_write", writable: [">"] },
  log: { level: "debug" },
};
/** What other parts of the daemon are told, and nobody else. */
const PAYLOAD = "mark_payload_7f3a";
const VALUE = "mark_value_91bc";
const BLOB = "mark_blob_55de";
/** Like the real ones, and wrong. */
const WRONG_OWNER = "c0ffee".repeat(10) + "c0ff";
const WRONG_NAMED = `pst_${"d00d".repeat(4)}_${"beef".repeat(16)}`;
const WRONG_CLIENT = "5eed".repeat(16);
/** With a digit missing, as when it was copied badly. */
const TRUNCATED = "fade".repeat(16).slice(1);

/** Parameters that are right, with what nobody else is told. */
function rightly(operation: string, token: string): Line {
  const given = { token, id: WRONG_OWNER, own: "o-nobody", text: PAYLOAD };
  return EXAMPLES[operation as OperationName][0]!(given);
}

/** The same with a fault in each parameter in turn; a secret of the wrong kind or in the wrong place is one. */
function* wrongly(right: Line): Generator<unknown> {
  const secrets = [WRONG_OWNER, WRONG_NAMED, TRUNCATED];
  for (const secret of secrets) yield secret;
  for (const name of ["token", "client_id", "consumer", "topics", "kinds", ...Object.keys(right)]) {
    yield { ...right, [name]: secrets };
    yield { ...right, [name]: { secret: WRONG_OWNER } };
    if (name === "payload" || name === "value") {
      yield { ...right, [name]: [PAYLOAD, VALUE] };
      yield { ...right, [name]: VALUE.repeat(10), kind: "none", if_sequence: 99 };
    } else if (name !== "text" && name !== "token") {
      for (const secret of secrets) yield { ...right, [name]: `${secret} ${secret}` };
    }
  }
}

/** Everything that is secret, and everything that was answered with an error. */
class Run {
  readonly marks = [PAYLOAD, VALUE, BLOB, WRONG_OWNER, WRONG_NAMED, WRONG_CLIENT, TRUNCATED];
  readonly errors: string[] = [];
  readonly sockets: Sockets;

  constructor(directory: TestDirectory) {
    const [socketPath, httpSocketPath] = [directory.at("postern.sock"), directory.at("http.sock")];
    this.sockets = { socketPath, httpSocketPath };
  }

  /** Uses an operation in one way of talking, rightly and wrongly, and answers with the codes. */
  async use(operation: string, open: Open, token: string): Promise<string[]> {
    const right = rightly(operation, token);
    using talker = await open(this.sockets, token);
    const asked = [right, ...wrongly(right)];
    const codes: string[] = [];
    for (const params of asked) {
      const told = await talker.ask(operation, params as Line);
      this.note(told);
      codes.push(told.code);
    }
    return codes;
  }

  note({ code, reply }: Told): void {
    if (code !== "ok") this.errors.push(JSON.stringify(reply));
    for (const secret of secretsIn(reply)) this.marks.push(secret);
  }

  /** Fails where any of it, or a telling part of it, is found. */
  expectNothingIn(what: string, text: string): void {
    const lower = text.toLowerCase();
    for (const mark of new Set(this.marks.flatMap(partsOf))) {
      const at = lower.indexOf(mark);
      assert(at < 0, `${what} holds ${mark}: ${text.slice(Math.max(0, at - 200), at + 200)}`);
    }
  }
}

const SECRET_FIELDS: ReadonlySet<string> = new Set(["token", "client_id", "lease_id"]);

/** What an answer tells its own client, and nobody else may learn. */
function* secretsIn(value: unknown): Generator<string> {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    const isSecret = SECRET_FIELDS.has(key) && typeof inner === "string";
    if (isSecret) yield inner;
    else yield* secretsIn(inner);
  }
}

/** As services of the remote-dev backend write a token. */
function base64Of(hex: string): string {
  return btoa(String.fromCharCode(...Uint8Array.fromHex(hex)));
}

function urlSafe(base64: string): string {
  return base64.replaceAll("+", "-").replaceAll("/", "_");
}

/** Of a long secret any quarter tells too much; the id in a named token is none. */
function partsOf(mark: string): string[] {
  const secret = mark.toLowerCase().split("_").at(-1)!;
  if (!/^[0-9a-f]{60,}$/.test(secret)) return [mark.toLowerCase()];
  const inBase64 = secret.length === 64 ? [base64Of(secret), urlSafe(base64Of(secret))] : [];
  return [secret, ...inBase64.map((text) => text.toLowerCase())]
    .flatMap((text) => [text.slice(0, 16), text.slice(20, 36), text.slice(-17, -1)]);
}

async function useEverything(run: Run, owner: string): Promise<void> {
  const open = TALKERS["JSON-RPC"]!;
  using talker = await open(run.sockets, owner);
  const scopes = ["read", "send", "write", "serve", "admin"];
  const made = await talker.ask("token.create", { name: "all", scopes });
  const weak = await talker.ask("token.create", { name: "weak", scopes: ["serve"] });
  await talker.ask("record.define", rightly("record.define", owner));
  for (const told of [made, weak]) run.note(told);
  const [all, none] = [made.reply.result.token, weak.reply.result.token];
  for (const [way, openWay] of Object.entries(TALKERS)) {
    for (const { name } of OPERATIONS) {
      if (name === "system.shutdown" || name === "auth.login" || name === "auth.access") continue;
      const codes = await run.use(name, openWay, all);
      // Remote access may not control anything as a whole.
      const isClosed = way === "AimX" && /^(token|consumer)\./.test(name);
      assert(isClosed || codes.length > 1, `${way} ${name}`);
      await run.use(name, openWay, none);
    }
  }
}

async function authenticateWrongly(run: Run, owner: string): Promise<void> {
  for (const [way, open] of Object.entries(TALKERS)) {
    // There is no WebSocket without a token.
    const shown = way === "WebSocket" ? owner : null;
    for (const operation of ["auth.login", "auth.access"]) {
      using talker = await open(run.sockets, shown);
      run.note(await talker.ask(operation, { token: WRONG_OWNER }));
      run.note(await talker.ask(operation, { token: [WRONG_NAMED] }));
      run.note(await talker.ask(operation, { token: owner.repeat(20) }));
      if (way !== "AimX") run.note(await talker.ask(operation, { token: owner }));
    }
    using stranger = await open(run.sockets, shown);
    run.note(await stranger.ask("event.read", { token: owner }));
    run.note(await stranger.ask(WRONG_NAMED, {}));
  }
}

/** What cannot be read at all, or says a secret where none belongs. */
async function speakBadly(run: Run, owner: string): Promise<void> {
  const lines = [
    owner,
    PAYLOAD,
    `{"payload":${VALUE}}`,
    `"${owner}"`,
    `["${owner}"]`,
    `{"${owner}":1}`,
    `{"cmd":"auth","token":"${owner}"`,
    `{"cmd":"auth","token":${owner}}`,
    `{"cmd":"auth","token":"${PAYLOAD}" x}`,
    `{"cmd":"${owner}"}`,
    `{"cmd":"hello","version":2,"client_kind":"editor","client_id":"${WRONG_CLIENT}${owner}${owner}"}`,
    `{"method":"${owner}","id":"${owner}x"}`,
    `{"jsonrpc":"${owner}","method":"system.ping","id":1}`,
    `{"jsonrpc":"2.0","method":"auth.login","params":"${owner}","id":1}`,
    `{"hello":{"version":"${owner}","auth_token":"${owner}"}}`,
    `{"hello":{"version":"1.0","client":"x","auth_token":"${WRONG_OWNER}"}}`,
    `{"hello":{"version":"1.0","client":"x","auth_token":["${owner}"]}}`,
  ];
  for (const line of lines) {
    using client = await RawClient.connect(run.sockets.socketPath);
    await client.write(`${line}\n`);
    await client.endWriting();
    for (const reply of await client.untilClosed()) {
      // An id is the client's own and goes back to it; its welcome names no secret.
      const { id: _id, ...rest } = reply;
      run.errors.push(JSON.stringify(rest));
    }
  }
}

async function askHttpBadly(run: Run, owner: string): Promise<void> {
  using http = new HttpClient(run.sockets.httpSocketPath, owner);
  const shows: [string, Record<string, string>][] = [
    [`/${owner}`, {}],
    [`/blobs/${owner}`, {}],
    [`/events?since=${owner}`, {}],
    [`/events?follow=${owner}`, {}],
    [`/events?kinds=${owner}`, {}],
    [`/events?topics=${owner}!`, {}],
    ["/healthz", { authorization: `Basic ${owner}` }],
    ["/healthz", { authorization: owner }],
    ["/healthz", { "x-rdv-service-token": WRONG_OWNER }],
    ["/healthz", { "x-rdv-service-token": `${base64Of(owner)}x` }],
    [`/blobs/${base64Of(owner)}`, {}],
    ["/healthz", { "x-client-kind": base64Of(owner) }],
    ["/healthz", { origin: `http://${owner}` }],
    ["/healthz", { "postern-api-version": owner }],
    ["/healthz", { "x-client-kind": owner + owner }],
    ["/healthz", { "x-client-kind": "editor", "x-client-id": owner + owner + WRONG_CLIENT }],
    ["/ws", { upgrade: owner }],
  ];
  for (const [target, headers] of shows) {
    const shown = Object.keys(headers).some((name) => /authorization|service-token/.test(name));
    const answer = await http.ask(target, { headers, ...(shown ? { token: null } : {}) });
    if (answer.status >= 400) run.errors.push(answer.text);
  }
  for (
    const body of [
      owner,
      `{"method":"${owner}"`,
      `{"id":1,"method":"auth.login","params":"${owner}"}`,
    ]
  ) {
    run.errors.push((await http.ask("/rpc", { method: "POST", body })).text);
  }
  // The daemon takes the owner token in base64 as well.
  const withBase64 = { "x-rdv-service-token": base64Of(owner) };
  const taken = await http.rpc("token.list", {}, { token: null, headers: withBase64 });
  assertEquals(taken.status, 200);
  const forms = [base64Of(owner), base64Of(owner).replaceAll("=", ""), urlSafe(base64Of(owner))];
  for (const secret of [owner, WRONG_NAMED, WRONG_CLIENT, ...forms]) {
    const headers = { "x-rdv-user-id": `for ${secret}` };
    assertEquals((await http.rpc("token.list", {}, { headers })).status, 200);
  }
  const headers = { "x-client-kind": "editor", "x-client-id": WRONG_CLIENT };
  const { headers: answered } = await http.rpc("token.list", {}, { headers });
  run.marks.push(answered.get("x-client-id")!);
  const stored = await http.ask("/blobs", { method: "POST", body: BLOB });
  assertEquals(stored.status, 201);
}

Deno.test("after a run that used every operation nothing secret is in logs, audit, metrics, health or errors", async () => {
  await using directory = new TestDirectory();
  Deno.writeTextFileSync(directory.at("config.jsonc"), JSON.stringify(CONFIG), { mode: 0o600 });
  await using daemon = await startProcess(directory.path).ready();
  const run = new Run(directory);
  const ownerToken = () => directory.read("ipc-token").trim();
  run.marks.push(ownerToken());
  await useEverything(run, ownerToken());
  run.marks.push(ownerToken());
  await authenticateWrongly(run, ownerToken());
  await speakBadly(run, ownerToken());
  await askHttpBadly(run, ownerToken());
  const misplaced = { log: { level: ownerToken() }, token: ownerToken() };
  Deno.writeTextFileSync(directory.at("config.jsonc"), JSON.stringify(misplaced));
  daemon.signal("SIGHUP");
  await daemon.says(/configuration unchanged/);
  const watched: Record<string, string> = { "daemon.json": directory.read("daemon.json") };
  {
    using http = new HttpClient(run.sockets.httpSocketPath, ownerToken());
    for (const path of ["/metrics", "/healthz", "/readyz"]) {
      watched[path] = (await http.ask(path)).text;
    }
    const { code } = await (await TALKERS["HTTP"]!(run.sockets, ownerToken())).ask(
      "system.shutdown",
    );
    assertEquals(code, "ok");
  }
  assertEquals(await daemon.end(), 0);
  for (const { name } of Deno.readDirSync(directory.at("log"))) {
    watched[name] = directory.read("log", name);
  }
  watched["stderr"] = daemon.stderr;
  watched["errors"] = run.errors.join("\n");
  for (const [what, text] of Object.entries(watched)) run.expectNothingIn(what, text);
  assert(watched["audit.jsonl"]!.includes('"token.create"'), "the audit was written");
  assert(run.errors.length > 1000, `only ${run.errors.length} errors were told`);
});

Deno.test("a token is hidden in hex and in base64, and nothing else is: originators, ids, paths, dates", () => {
  for (let n = 0; n < 200; n++) {
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    const base64 = base64Of(bytes.toHex());
    for (const form of [bytes.toHex(), base64, base64.slice(0, 43), urlSafe(base64)]) {
      assertEquals(withoutSecrets(form), "(hidden)");
      assertEquals(withoutSecrets(`for ${form}, says "${form}"`), 'for (hidden), says "(hidden)"');
      assert(!withoutSecrets(`for-${form}/x`).includes(form.slice(8, 24)));
      assertEquals(shown(form), '"(hidden)"');
    }
    const id = crypto.randomUUID();
    const plain = [
      `o-${bytes.toHex().slice(0, 32)}`,
      `o-${bytes.toHex().slice(0, 32)}/o-${bytes.toHex().slice(32)}`,
      id,
      `${id}/${id}`,
      "/home/somebody/projects/postern/src/daemon/rotating_file",
      "/Users/Somebody/Library/postern/src/daemon/rotating_file",
      "2026-03-01T09:15:09.183Z ERROR cannot be written; reading goes on",
    ];
    for (const text of plain) assertEquals(withoutSecrets(text), text);
  }
});
