/** Tokens: who is known by what, for how long, and what of it is kept. On a clock of the test's. */

import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { MAX_TOKENS, Tokens } from "../../src/core/tokens.ts";
import { TRUSTED } from "../../src/core/principal.ts";
import { SECRETS } from "../../src/daemon/secrets.ts";
import { openTestLog, type TestLog } from "../support/test_log.ts";

const OWNER = "0a".repeat(32);

function openTokens(opened: TestLog = openTestLog(), owner = OWNER): Tokens {
  const { log, clock, store } = opened;
  return new Tokens(owner, { documents: log, clock, secrets: SECRETS, stored: store.documents });
}

function codeOf(action: () => unknown): string {
  return assertThrows(action, PosternError).code;
}

Deno.test("the owner token stands for every scope, whatever the case of its digits and the space around it", () => {
  const tokens = openTokens();
  for (const given of [OWNER, OWNER.toUpperCase(), ` ${OWNER}\n`]) {
    assertEquals(tokens.authenticate(given)?.scopes.size, 5);
  }
  for (const given of ["", "0", OWNER.slice(1), `${OWNER}0`, "0b".repeat(32)]) {
    assertEquals(tokens.authenticate(given), null);
  }
});

Deno.test("a named token stands for its scopes, and nothing that is stored gives it away", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const { token, secret } = await tokens.create("ci", ["read", "send"], null).promise();
  const principal = tokens.authenticate(secret);
  assertEquals([...principal!.scopes], ["read", "send"]);
  assertEquals(principal!.tokenId, token.id);
  await opened.log.drain();
  const kept = JSON.stringify(opened.store.documents);
  const unique = secret.split("_")[2]!;
  assert(kept.includes(SECRETS.hash(secret)) && !kept.includes(unique), kept);
});

Deno.test("a secret of another token, or with a changed digit, is none", async () => {
  const tokens = openTokens();
  const one = await tokens.create("one", ["read"], null).promise();
  const two = await tokens.create("two", ["admin"], null).promise();
  const [, id] = two.secret.split("_");
  const [, , tail] = one.secret.split("_");
  assertEquals(tokens.authenticate(`pst_${id}_${tail}`), null);
  const last = one.secret.at(-1) === "0" ? "1" : "0";
  assertEquals(tokens.authenticate(one.secret.slice(0, -1) + last), null);
  assertEquals(tokens.authenticate(`pst_${"0".repeat(16)}_${"0".repeat(64)}`), null);
});

Deno.test("a token that expires is valid until then, and for those who showed it before as well", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const { secret } = await tokens.create("short", ["read"], 1000).promise();
  const principal = tokens.authenticate(secret)!;
  opened.clock.step(999);
  assertEquals([tokens.isValid(principal), tokens.authenticate(secret)], [true, principal]);
  opened.clock.step(1);
  assertEquals([tokens.isValid(principal), tokens.authenticate(secret)], [false, null]);
  assertEquals(tokens.list().map(({ name }) => name), ["short"], "it is still listed");
});

Deno.test("nextEndMs names the first end, and whoever waits for it is told when it changes", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const now = opened.clock.now();
  let changes = 0;
  tokens.onChanged = () => changes++;
  assertEquals(tokens.nextEndMs, null);
  await tokens.create("for ever", ["read"], null).promise();
  await tokens.create("long", ["read"], 5000).promise();
  await tokens.create("short", ["read"], 1000).promise();
  assertEquals(tokens.nextEndMs, now + 1000);
  tokens.replaceOwner("0b".repeat(32), 500);
  assertEquals([tokens.nextEndMs, changes], [now + 500, 4]);
  opened.clock.step(1000);
  assertEquals(tokens.nextEndMs, now + 5000);
});

Deno.test("a revoked token is gone at once, by its id or its name, and after a restart", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const a = await tokens.create("a", ["read"], null).promise();
  const b = await tokens.create("b", ["read"], null).promise();
  const principals = [a, b].map(({ secret }) => tokens.authenticate(secret)!);
  await Promise.all([tokens.revoke("a").promise(), tokens.revoke(b.token.id).promise()]);
  assertEquals(principals.map((one) => tokens.isValid(one)), [false, false]);
  assertEquals([a, b].map(({ secret }) => tokens.authenticate(secret)), [null, null]);
  const after = openTokens(opened.restarted());
  assertEquals([after.list(), after.authenticate(a.secret)], [[], null]);
  assertEquals(codeOf(() => tokens.revoke("a")), "not_found");
});

Deno.test("tokens are the same after a restart, last_used_at to the minute", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const { secret, token } = await tokens.create("ci", ["write", "serve"], 9e12).promise();
  assertEquals(token.lastUsedMs, null);
  opened.clock.step(5000);
  tokens.authenticate(secret);
  const usedMs = opened.clock.now();
  opened.clock.step(59_999);
  tokens.authenticate(secret);
  await opened.log.drain();
  const after = openTokens(opened.restarted());
  const [listed] = after.list();
  const { id, name, scopes, createdMs, expiresMs, lastUsedMs } = listed!;
  assertEquals(
    { id, name, scopes, createdMs, expiresMs, lastUsedMs },
    {
      id: token.id,
      name: "ci",
      scopes: ["write", "serve"],
      createdMs: 1_000_000,
      expiresMs: 9e12 + 1_000_000,
      lastUsedMs: usedMs,
    },
  );
  assertEquals([...after.authenticate(secret)!.scopes], ["write", "serve"]);
  opened.clock.step(1);
  assertEquals(after.authenticate(secret)?.tokenId, id);
  assertEquals(after.list()[0]!.lastUsedMs, usedMs + 60_000);
});

Deno.test("what a connection has shown is not another token of the same id after a restart", async () => {
  const opened = openTestLog();
  const before = openTokens(opened);
  const { secret } = await before.create("ci", ["read"], null).promise();
  const principal = before.authenticate(secret)!;
  const after = openTokens(opened.restarted());
  assertEquals(after.isValid(principal), false);
  assertEquals(after.isValid(TRUSTED), true, "a trusted socket shows no token");
});

Deno.test("a name is taken by a token that is valid, and free again when it has expired", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const first = await tokens.create("ci", ["read"], 1000).promise();
  assertEquals(codeOf(() => tokens.create("ci", ["read"], null)), "conflict");
  assertEquals(codeOf(() => tokens.create(first.token.id, ["read"], null)), "conflict");
  opened.clock.step(1000);
  const second = await tokens.create("ci", ["read"], null).promise();
  assertNotEquals(second.token.id, first.token.id);
  assertEquals(tokens.list().map(({ id }) => id), [second.token.id]);
});

Deno.test("there is a bound; expired tokens make room for new ones, valid ones do not", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const all = Array.from(
    { length: MAX_TOKENS },
    (_, n) => tokens.create(`t${n}`, ["read"], n === 500 ? 1 : null).promise(),
  );
  await Promise.all(all);
  assertEquals(codeOf(() => tokens.create("more", ["read"], null)), "too_many");
  opened.clock.step(1);
  await tokens.create("more", ["read"], null).promise();
  assertEquals(tokens.list().length, MAX_TOKENS);
  assert(!tokens.list().some(({ name }) => name === "t500"));
});

Deno.test("a token that could not be stored does not exist", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  opened.store.failNext(new PosternError("storage_full", "full"));
  const made = await tokens.create("ci", ["read"], null).promise().catch((error) => error);
  assertEquals([made.code, tokens.list()], ["storage_full", []]);
});

Deno.test("a revocation that could not be stored holds, says so, and can be asked for again until it is stored", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const { secret, token } = await tokens.create("ci", ["read"], null).promise();
  for (const reference of ["ci", "ci", token.id]) {
    opened.store.failNext(new PosternError("storage_full", "full"));
    const refusal = await tokens.revoke(reference).promise().catch((error) => error);
    assertEquals([refusal.code, tokens.authenticate(secret)], ["storage_full", null]);
    assertStringIncludes(refusal.message, "is revoked until the next start, not stored yet");
    assertEquals(tokens.list().map(({ id, isRevoked }) => [id, isRevoked]), [[token.id, true]]);
  }
  await tokens.revoke("ci").promise();
  assertEquals(openTokens(opened.restarted()).authenticate(secret), null);
  assertEquals(codeOf(() => tokens.revoke("ci")), "not_found");
});

Deno.test("whoever was told that a revocation is not stored may ask again when it has been, for ten minutes", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const { secret, token } = await tokens.create("ci", ["read"], null).promise();
  opened.store.failNext(new PosternError("storage_full", "full"));
  await tokens.revoke("ci").promise().catch(() => {});
  tokens.storeRemovals();
  await opened.log.drain();
  assertEquals([tokens.list(), tokens.authenticate(secret)], [[], null]);
  opened.clock.step(599_999);
  for (const reference of ["ci", token.id, "ci"]) await tokens.revoke(reference).promise();
  const next = await tokens.create("ci", ["read"], null).promise();
  await tokens.revoke("ci").promise();
  assertEquals(tokens.authenticate(next.secret), null, "a new one of the name is meant first");
  opened.clock.step(1);
  for (const reference of ["ci", token.id]) {
    assertEquals(codeOf(() => tokens.revoke(reference)), "not_found");
  }
});

Deno.test("revocations that were stored by a later try are remembered up to a bound", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  for (let n = 0; n <= MAX_TOKENS; n++) {
    await tokens.create(`t${n}`, ["read"], null).promise();
    opened.store.failNext(new PosternError("storage_full", "full"));
    await tokens.revoke(`t${n}`).promise().catch(() => {});
    tokens.storeRemovals();
    await opened.log.drain();
  }
  assertEquals(codeOf(() => tokens.revoke("t0")), "not_found");
  await tokens.revoke("t1").promise();
  await tokens.revoke(`t${MAX_TOKENS}`).promise();
});

Deno.test("a revocation that could not be stored is tried again by itself, and its name is free meanwhile", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const { secret } = await tokens.create("ci", ["read"], null).promise();
  opened.store.failNext(new PosternError("storage_full", "full"));
  await tokens.revoke("ci").promise().catch(() => {});
  const next = await tokens.create("ci", ["read"], null).promise();
  opened.store.failNext(new PosternError("storage_full", "full"));
  tokens.storeRemovals();
  await opened.log.drain();
  assert(openTokens(opened.restarted()).authenticate(secret) !== null, "that try failed as well");
  tokens.storeRemovals();
  tokens.storeRemovals();
  await opened.log.drain();
  const after = openTokens(opened.restarted());
  assertEquals([after.authenticate(secret), after.list().map(({ id }) => id)], [
    null,
    [next.token.id],
  ]);
  const commits = opened.store.batches.length;
  tokens.storeRemovals();
  await opened.log.drain();
  assertEquals(opened.store.batches.length, commits, "what is stored is stored once");
});

Deno.test("revocations that wait to be stored are bounded", async () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const release = opened.store.holdCommits();
  const made = Array.from({ length: MAX_TOKENS }, (_, n) => {
    const created = tokens.create(`t${n}`, ["read"], null).promise();
    return Promise.all([created, tokens.revoke(`t${n}`).promise()]);
  });
  assertEquals(codeOf(() => tokens.create("more", ["read"], null)), "storage_full");
  release();
  await Promise.all(made);
  await tokens.create("more", ["read"], null).promise();
});

Deno.test("a replaced owner token is taken for the time of grace, also when another follows, and then no more", () => {
  const opened = openTestLog();
  const tokens = openTokens(opened);
  const [second, third] = ["0b".repeat(32), "0c".repeat(32)];
  const before = tokens.authenticate(OWNER)!;
  tokens.replaceOwner(second, 1000);
  opened.clock.step(500);
  tokens.replaceOwner(third, 1000);
  opened.clock.step(499);
  for (const token of [OWNER, second, third]) assert(tokens.authenticate(token) !== null);
  assertEquals(tokens.authenticate(OWNER), before);
  opened.clock.step(1);
  assertEquals([tokens.authenticate(OWNER), tokens.isValid(before)], [null, false]);
  assert(tokens.authenticate(second) !== null);
  opened.clock.step(500);
  assertEquals(tokens.authenticate(second), null);
  assert(tokens.isValid(tokens.authenticate(third)!));
});

Deno.test("an owner token that is replaced without grace ends all that were replaced before, too", () => {
  const tokens = openTokens();
  const before = tokens.authenticate(OWNER)!;
  tokens.replaceOwner("0b".repeat(32), 1000);
  tokens.replaceOwner("0b".repeat(32));
  assert(tokens.isValid(before), "the same token again replaces nothing");
  tokens.replaceOwner("0c".repeat(32));
  assertEquals([tokens.isValid(before), tokens.authenticate("0b".repeat(32))], [false, null]);
});
