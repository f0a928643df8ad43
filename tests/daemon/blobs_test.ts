/** Blobs: what goes in comes out, what is cut off leaves nothing, and nothing grows without bound. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path/posix";
import { PosternError } from "../../src/core/errors.ts";
import { BlobFiles, type BlobOptions } from "../../src/daemon/blobs.ts";
import { eventually } from "../support/eventually.ts";
import { watch } from "../support/file_calls.ts";
import { HttpSocket } from "../support/http_socket.ts";
import { makeRuntimeDirectory, startTestDaemon } from "../support/in_process.ts";
import { startProcess, TestDirectory } from "../support/process.ts";

const MEBIBYTE = 1024 * 1024;
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

async function hashOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

function random(bytes: number): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) {
    crypto.getRandomValues(content.subarray(at, Math.min(bytes, at + 65_536)));
  }
  return content;
}

function namesIn(directory: string): string[] {
  return [...Deno.readDirSync(join(directory, "blobs"))].map(({ name }) => name).sort();
}

async function* chunks(...sizes: number[]): AsyncGenerator<Uint8Array> {
  for (const size of sizes) yield new Uint8Array(size);
}

/** Blob files without a daemon, with a clock of the test's. */
class Files implements AsyncDisposable {
  readonly blobs: BlobFiles;
  nowMs = 1_000_000;
  readonly errors: string[] = [];

  constructor(readonly directory: string, options: Partial<BlobOptions>) {
    this.blobs = new BlobFiles({
      directory,
      uid: Deno.uid(),
      maxBytes: () => 1000,
      retentionMs: 60_000,
      now: () => this.nowMs,
      log: { debug() {}, info() {}, warn() {}, error: (message) => this.errors.push(message) },
      ...options,
    });
  }

  static async make(options: Partial<BlobOptions> = {}): Promise<Files> {
    return new Files(await makeRuntimeDirectory(), options);
  }

  get names(): string[] {
    return namesIn(this.directory);
  }

  async refused(
    content: AsyncIterable<Uint8Array>,
    announced = 0,
    tokenId = "owner",
  ): Promise<string> {
    const put = () => this.blobs.put(content, announced, tokenId);
    return (await assertRejects(put, PosternError)).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

Deno.test("what is put comes back by its hash, byte for byte, with what says so", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  for (const content of [random(300_001), new Uint8Array()]) {
    const hash = await hashOf(content);
    const url = `/blobs/${hash}`;
    const posted = await http.fetch("/blobs", { method: "POST", body: content });
    assertEquals([posted.status, posted.headers.get("location")], [201, url]);
    assertEquals(await posted.json(), { blob: { hash, bytes: content.length, url } });
    const got = await http.fetch(url);
    assertEquals(new Uint8Array(await got.arrayBuffer()), content);
    assertEquals(got.headers.get("content-length"), String(content.length));
    assertEquals(got.headers.get("etag"), `"${hash}"`);
    assertEquals(got.headers.get("x-content-type-options"), "nosniff");
    const head = await http.fetch(url, { method: "HEAD" });
    assertEquals([head.status, await head.text()], [200, ""]);
    assertEquals(head.headers.get("content-length"), String(content.length));
  }
});

Deno.test("the same content is one file, also when many put it at once", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { blob_bytes: 100_000 } } });
  using http = new HttpSocket(daemon.directory);
  const content = random(100_000);
  const hash = await hashOf(content);
  // More than there would be room for if each counted.
  for (let round = 0; round < 3; round++) {
    const all = Array.from(
      { length: 8 },
      () => http.json("/blobs", { method: "POST", body: content }),
    );
    for (const { status, body } of await Promise.all(all)) {
      assertEquals([status, body.blob?.hash], [201, hash]);
    }
  }
  assertEquals(namesIn(daemon.directory), [hash]);
  assertEquals(Deno.statSync(join(daemon.directory, "blobs", hash)).mode! & 0o777, 0o600);
});

Deno.test("a blob over the limit is refused with 413 and leaves nothing", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { blob_bytes: 1000 } } });
  using http = new HttpSocket(daemon.directory);
  const whole = await http.json("/blobs", { method: "POST", body: new Uint8Array(1000) });
  assertEquals(whole.status, 201);
  const announced = await http.json("/blobs", { method: "POST", body: new Uint8Array(1001) });
  assertEquals([announced.status, announced.body.error.code], [413, "too_large"]);
  assertEquals(announced.body.error.limit, 1000);
  const streamed = ReadableStream.from(chunks(600, 600));
  const { status, body } = await http.json("/blobs", { method: "POST", body: streamed });
  assertEquals([status, body.error.code], [413, "too_large"]);
  assertEquals(namesIn(daemon.directory), [whole.body.blob.hash]);
});

Deno.test("what is no hash is refused with the rule, and no path leads out", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  await http.fetch("/blobs", { method: "POST", body: "" }).then((answer) => answer.body?.cancel());
  const wrong = [
    EMPTY.toUpperCase(),
    EMPTY.slice(1),
    `${EMPTY}0`,
    "..%2fipc-token",
    "%2e%2e%2fipc-token",
    "upload-1.new",
    "%00",
  ];
  for (const name of wrong) {
    const { status, body } = await http.json(`/blobs/${name}`);
    assertEquals([status, body.error.code], [400, "invalid_params"], name);
    assert(body.error.message.includes("64 hex digits"), body.error.message);
  }
  assertEquals((await http.json(`/blobs/${"0".repeat(64)}`)).status, 404);
  const head = await http.fetch(`/blobs/${"0".repeat(64)}`, { method: "HEAD" });
  assertEquals(head.status, 404);
});

Deno.test("putting and getting are counted as operations are, with what they came to", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { rate: { send: 1 } } } });
  const http = daemon.http();
  const put = () => http.ask("/blobs", { method: "POST", body: "x" });
  const { body } = await put();
  assertEquals((await put()).status, 429);
  assertEquals((await http.ask(body.blob.url)).status, 200);
  assertEquals((await http.ask(`/blobs/${"0".repeat(64)}`)).status, 404);
  assertEquals((await http.ask(body.blob.url, { token: null })).status, 401);
  const { text } = await http.ask("/metrics");
  for (
    const sample of [
      'requests_total{operation="blob.put",outcome="ok"} 1',
      'requests_total{operation="blob.put",outcome="rate_limited"} 1',
      'requests_total{operation="blob.get",outcome="ok"} 1',
      'requests_total{operation="blob.get",outcome="not_found"} 1',
      'requests_total{operation="blob.get",outcome="auth_required"} 1',
      'request_seconds_count{operation="blob.get"} 3',
      "rate_limited_total 1",
    ]
  ) assert(text.includes(`\npostern_${sample}\n`), `${sample} in ${text}`);
});

Deno.test("putting takes the scope send, getting the scope read", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const tokenFor = async (scope: string) => {
    const { body } = await http.rpc("token.create", { name: scope, scopes: [scope] });
    return body.result.token as string;
  };
  const [reader, sender] = [await tokenFor("read"), await tokenFor("send")];
  const post = { method: "POST", body: "" };
  assertEquals((await http.json("/blobs", { ...post, token: reader })).status, 403);
  assertEquals((await http.json("/blobs", { ...post, token: sender })).status, 201);
  assertEquals((await http.json(`/blobs/${EMPTY}`, { token: sender })).status, 403);
  assertEquals(await (await http.fetch(`/blobs/${EMPTY}`, { token: reader })).text(), "");
});

Deno.test("an upload whose client goes away leaves nothing", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const encoder = new TextEncoder();
  for (const framing of ["Content-Length: 1000\r\n\r\nabc", chunkedHead("abc")]) {
    const raw = await Deno.connect({ transport: "unix", path: http.path });
    const head =
      `POST /blobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${daemon.token}\r\n`;
    await raw.write(encoder.encode(head + framing));
    await eventually(() => namesIn(daemon.directory).length > 0, "the upload");
    raw.close();
    await eventually(() => namesIn(daemon.directory).length === 0, "its removal");
  }
  const unexpected = daemon.logged.filter(({ level }) => level === "error");
  assertEquals(unexpected, [], "a client that goes away is no fault of ours");
});

function chunkedHead(text: string): string {
  return `Transfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n`;
}

const isLinux = Deno.build.os === "linux";

Deno.test({
  name: `a reader that goes away in the middle closes the file${isLinux ? "" : " [needs /proc]"}`,
  ignore: !isLinux,
  fn: readerGoesAway,
});

async function readerGoesAway(): Promise<void> {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const content = random(8 * MEBIBYTE);
  const { body } = await http.json("/blobs", { method: "POST", body: content });
  const openFiles = () =>
    [...Deno.readDirSync("/proc/self/fd")].filter(({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/self/fd/${name}`).endsWith(body.blob.hash);
      } catch {
        return false;
      }
    }).length;
  const raw = await Deno.connect({ transport: "unix", path: http.path });
  const head =
    `GET ${body.blob.url} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${daemon.token}\r\n\r\n`;
  await raw.write(new TextEncoder().encode(head));
  await raw.read(new Uint8Array(1000));
  assert(openFiles() > 0);
  raw.close();
  await eventually(() => openFiles() === 0, "the file to be closed");
}

Deno.test("a crash in the middle of an upload leaves nothing after the next start", async () => {
  await using directory = new TestDirectory();
  const first = await startProcess(directory.path).ready();
  using http = new HttpSocket(directory.path);
  const kept = await http.json("/blobs", { method: "POST", body: random(100_000) });
  const raw = await Deno.connect({ transport: "unix", path: http.path });
  const token = directory.read("ipc-token");
  const head = `POST /blobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
    "Content-Length: 1000\r\n\r\nabc";
  await raw.write(new TextEncoder().encode(head));
  await eventually(() => namesIn(directory.path).length === 2, "the upload");
  await first.crash();
  raw.close();
  assertEquals(namesIn(directory.path).length, 2);
  await using _second = await startProcess(directory.path).ready();
  assertEquals(namesIn(directory.path), [kept.body.blob.hash]);
  using again = new HttpSocket(directory.path);
  assertEquals((await again.text(kept.body.blob.url)).length > 0, true);
});

Deno.test("an upload larger than all buffers does not make the daemon grow by it", async () => {
  await using directory = new TestDirectory();
  const config = { limits: { blob_bytes: 1024 * MEBIBYTE } };
  Deno.writeTextFileSync(directory.at("config.jsonc"), JSON.stringify(config));
  await using _daemon = await startProcess(directory.path).ready();
  using http = new HttpSocket(directory.path);
  const memory = async () => {
    const text = await http.text("/metrics");
    return Number(/^postern_memory_bytes\{kind="rss"\} (\d+)$/m.exec(text)![1]);
  };
  const before = await memory();
  let largest = 0;
  const size = 512;
  const content = (async function* () {
    for (let sent = 0; sent < size; sent++) {
      yield new Uint8Array(MEBIBYTE);
      if (sent % 32 === 0) largest = Math.max(largest, await memory());
    }
  })();
  const { status, body } = await http.json("/blobs", {
    method: "POST",
    body: ReadableStream.from(content),
  });
  assertEquals([status, body.blob.bytes], [201, size * MEBIBYTE]);
  const grown = (largest - before) / MEBIBYTE;
  assert(grown < size / 2, `it grew by ${grown} MiB under an upload of ${size}`);
});

Deno.test("a link or another's file among the blobs keeps a daemon from starting", async () => {
  await using directory = new TestDirectory();
  Deno.mkdirSync(directory.at("blobs"), { mode: 0o700 });
  Deno.writeTextFileSync(directory.beside("secret"), "secret");
  Deno.symlinkSync(directory.beside("secret"), directory.at("blobs", EMPTY));
  await using process = startProcess(directory.path);
  assertEquals(await process.end(), 1);
  assert(process.stderr.includes("symbolic link"), process.stderr);
});

Deno.test("a link that appears later in a blob's place is not followed", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const { body } = await http.json("/blobs", { method: "POST", body: "content" });
  const path = join(daemon.directory, "blobs", body.blob.hash);
  Deno.removeSync(path);
  Deno.symlinkSync(daemon.tokenPath, path);
  const { status, body: { error } } = await http.json(body.blob.url);
  assertEquals([status, error.code], [500, "internal"]);
});

Deno.test("a blob whose file others may read is not given, and only the log says where it lies", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const { body } = await http.json("/blobs", { method: "POST", body: "content" });
  const path = join(daemon.directory, "blobs", body.blob.hash);
  Deno.chmodSync(path, 0o644);
  const { status, body: { error } } = await http.json(body.blob.url);
  assertEquals([status, error.code], [500, "internal"]);
  assert(!JSON.stringify(error).includes(daemon.directory), error.message);
  assertEquals((await http.fetch(body.blob.url, { method: "HEAD" })).status, 500);
  const reasons = daemon.logged.map(({ fields }) => String(fields?.error));
  assert(reasons.some((reason) => reason.includes(path)), reasons.join());
  Deno.chmodSync(path, 0o600);
  assertEquals(await http.text(body.blob.url), "content");
});

Deno.test("no answer says where the files lie when one of an upload's cannot be made", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  Deno.symlinkSync("nowhere", join(daemon.directory, "blobs", "upload-1.new"));
  const { status, body: { error } } = await http.json("/blobs", { method: "POST", body: "x" });
  assertEquals([status, error.code], [500, "internal"]);
  assert(!JSON.stringify(error).includes(daemon.directory), error.message);
});

Deno.test("whoever has a blob already is told so, and not sent it again", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const { body } = await http.json("/blobs", { method: "POST", body: "content" });
  const etag = `"${body.blob.hash}"`;
  const ask = (given: string, path = body.blob.url) =>
    http.fetch(path, { headers: { "if-none-match": given } });
  for (const given of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
    const answer = await ask(given);
    assertEquals([answer.status, await answer.text()], [304, ""], given);
    assertEquals(answer.headers.get("etag"), etag);
    assertEquals(answer.headers.get("cache-control"), "private, max-age=31536000, immutable");
  }
  const answer = await ask('"other"');
  assertEquals([answer.status, await answer.text()], [200, "content"]);
  assertEquals(answer.headers.get("cache-control"), "private, max-age=31536000, immutable");
  const missing = await ask("*", `/blobs/${EMPTY}`);
  assertEquals([missing.status, (await missing.json()).error.code], [404, "not_found"]);
});

Deno.test("bytes are counted as they pass, also of what is refused or not taken to its end", async () => {
  await using daemon = await startTestDaemon({ config: { limits: { blob_bytes: 8 * MEBIBYTE } } });
  using http = new HttpSocket(daemon.directory);
  const counts = async () => {
    const text = await http.text("/metrics");
    return ["received", "sent"].map((way) =>
      Number(
        new RegExp(`^postern_socket_bytes_total\\{direction="${way}"\\} (\\d+)$`, "m").exec(
          text,
        )![1],
      )
    ) as [number, number];
  };
  const { body } = await http.json("/blobs", { method: "POST", body: random(8 * MEBIBYTE) });
  const [received, sent] = await counts();
  const tooLong = ReadableStream.from(chunks(6 * MEBIBYTE, 6 * MEBIBYTE));
  assertEquals((await http.json("/blobs", { method: "POST", body: tooLong })).status, 413);
  const answer = await http.fetch(body.blob.url);
  const reader = answer.body!.getReader();
  await reader.read();
  const [after, passing] = await counts();
  assert(after - received > 6 * MEBIBYTE, `${after - received} bytes came`);
  assert(passing > sent && passing - sent < 8 * MEBIBYTE, `${passing - sent} bytes were taken`);
  await reader.cancel();
  assertEquals((await (await http.fetch(body.blob.url)).bytes()).length, 8 * MEBIBYTE);
  const [, whole] = await counts();
  assert(whole - passing >= 8 * MEBIBYTE, `${whole - passing} bytes were taken`);
});

Deno.test("a blob is on disk under its name before it is answered", async () => {
  await using files = await Files.make();
  const calls: string[] = [];
  using _watching = watch(calls);
  const { hash } = await files.blobs.put(chunks(5), 0, "owner");
  assertEquals(calls, ["sync file", `rename ${hash}`, "sync directory"]);
});

Deno.test("all blobs together, with those on their way, are bounded", async () => {
  await using files = await Files.make();
  for (let i = 0; i < 15; i++) await files.blobs.put(chunks(985 + i), 0, "owner");
  assertEquals(files.blobs.counters, { count: 15, bytes: 14_880 });
  const gate = Promise.withResolvers<void>();
  const slow = files.blobs.put(
    (async function* () {
      yield new Uint8Array(900);
      await gate.promise;
    })(),
    0,
    "owner",
  );
  await eventually(() => files.names.length === 16, "the slow upload");
  assertEquals(await files.refused(chunks(300)), "storage_full");
  assertEquals(await files.refused(chunks(), 1000), "storage_full");
  gate.resolve();
  await slow;
  assertEquals(files.blobs.counters, { count: 16, bytes: 15_780 });
  assertEquals(files.names.length, 16);
});

Deno.test("a limit of 0 takes no blob, not even an empty one", async () => {
  await using files = await Files.make({ maxBytes: () => 0 });
  assertEquals(await files.refused(chunks()), "too_large");
  assertEquals(files.names, []);
});

const SILENT = {
  [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
};

Deno.test("an upload that brings nothing for too long is given up, and its place is free", async () => {
  await using files = await Files.make({ idleMs: 1 });
  const tokens = Array.from({ length: 33 }, (_, n) => `token ${n}`);
  const codes = await Promise.all(tokens.map((token) => files.refused(SILENT, 0, token)));
  assertEquals(codes.filter((code) => code === "timeout").length, 32);
  assertEquals(codes[32], "too_many");
  assertEquals(files.names, []);
  await files.blobs.put(chunks(1), 0, "owner");
});

Deno.test("one token has a few of the places for uploads", async () => {
  await using files = await Files.make({ idleMs: 1 });
  const codes = Array.from({ length: 9 }, () => files.refused(SILENT));
  await files.blobs.put(chunks(1), 0, "another");
  assertEquals(await Promise.all(codes), [...Array(8).fill("timeout"), "too_many"]);
});

Deno.test("an upload that comes too slowly on the whole is given up, one that is fast enough is not", async () => {
  let ms = 0;
  await using files = await Files.make({ maxBytes: () => 1e6, elapsedMs: () => ms });
  async function* slowly(bytes: number) {
    for (let sent = 0; sent < 10; sent++) {
      ms += 29_000;
      yield new Uint8Array(bytes);
    }
  }
  assertEquals(await files.refused(slowly(1)), "timeout");
  assertEquals((await files.blobs.put(slowly(60_000), 0, "owner")).bytes, 600_000);
});

Deno.test("what is there already can be put again when there is room for nothing new", async () => {
  await using full = await Files.make();
  for (let n = 0; n < 16; n++) await full.blobs.put(chunks(1000 - n), 0, "owner");
  await full.blobs.put(chunks(120), 0, "owner");
  full.nowMs += 50_000;
  for (const announced of [0, 1000]) await full.blobs.put(chunks(400, 600), announced, "owner");
  assertEquals(await full.refused(chunks(500)), "storage_full");
  assertEquals(await full.refused(chunks(), 500), "storage_full");
  assertEquals(full.blobs.counters, { count: 17, bytes: 16_000 });
  full.nowMs += 20_000;
  full.blobs.tidy();
  assertEquals(full.blobs.counters, { count: 1, bytes: 1000 }, "it is as new as its last put");
  await using many = await Files.make({ maxBlobs: 2 });
  for (const size of [1, 2, 1, 2]) await many.blobs.put(chunks(size), 0, "owner");
  assertEquals(await many.refused(chunks(3)), "storage_full");
  assertEquals(many.names.length, 2);
});

Deno.test("when room is short the blobs are looked through once for each upload, however many chunks it has", async () => {
  await using files = await Files.make({ maxBlobs: 2 });
  const chunk = () => Array<number>(100).fill(1);
  for (const sizes of [chunk(), [300]]) await files.blobs.put(chunks(...sizes), 0, "owner");
  for (const announced of [0, 100]) {
    let looks = 0;
    const { values } = Map.prototype;
    Map.prototype.values = function () {
      looks++;
      return values.call(this);
    };
    try {
      await files.blobs.put(chunks(...chunk()), announced, "owner");
    } finally {
      Map.prototype.values = values;
    }
    assertEquals(looks, 1, `announced ${announced}`);
  }
  assertEquals(await files.refused(chunks(301)), "storage_full");
});

Deno.test("downloads are bounded, for one token and together, and each that ends makes room", async () => {
  await using files = await Files.make();
  const { hash } = await files.blobs.put(chunks(5), 0, "owner");
  const open = (token: number) => files.blobs.open(hash, `token ${token}`).content;
  const opened = Array.from({ length: 64 }, (_, n) => open(Math.floor(n / 16)));
  assertEquals(codeOf(() => open(0)), "too_many");
  assertEquals(codeOf(() => open(4)), "too_many");
  await opened[0]!.cancel();
  opened.push(open(0));
  assertEquals((await new Response(opened[1]).bytes()).length, 5);
  opened.push(open(4));
  for (const content of [opened[0]!, ...opened.slice(2)]) await content.cancel();
});

Deno.test("a reader that takes nothing for too long is given up, and its place is free", async () => {
  await using files = await Files.make({ idleMs: 1 });
  const { hash } = await files.blobs.put(chunks(5), 0, "owner");
  const idle = Array.from({ length: 16 }, () => files.blobs.open(hash, "owner").content);
  const free = () => codeOf(() => void files.blobs.open(hash, "owner").content.cancel()) === "ok";
  await eventually(free, "a place");
  const given = await assertRejects(() => new Response(idle[0]).bytes(), PosternError);
  assertEquals(given.code, "timeout");
  await Promise.allSettled(idle.slice(1).map((content) => content.cancel()));
});

Deno.test("readers that do not read cannot take more than their places over HTTP", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const { body } = await http.json("/blobs", { method: "POST", body: random(8 * MEBIBYTE) });
  const head =
    `GET ${body.blob.url} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${daemon.token}\r\n\r\n`;
  const readers: Deno.Conn[] = [];
  for (let n = 0; n < 16; n++) {
    const reader = await Deno.connect({ transport: "unix", path: http.path });
    await reader.write(new TextEncoder().encode(head));
    await reader.read(new Uint8Array(12));
    readers.push(reader);
  }
  const refused = await http.json(body.blob.url);
  assertEquals([refused.status, refused.body.error.code], [503, "too_many"]);
  readers.pop()!.close();
  await eventually(async () => {
    const answer = await http.fetch(body.blob.url);
    const { byteLength } = await answer.arrayBuffer();
    return answer.status === 200 && byteLength === 8 * MEBIBYTE;
  }, "a place");
  for (const reader of readers) reader.close();
});

Deno.test("a blob expires with the retention, unless it is put again", async () => {
  await using files = await Files.make();
  const once = await files.blobs.put(chunks(1), 0, "owner");
  const twice = await files.blobs.put(chunks(2), 0, "owner");
  files.nowMs += 50_000;
  await files.blobs.put(chunks(2), 0, "owner");
  files.nowMs += 20_000;
  files.blobs.tidy();
  assertEquals(files.names, [twice.hash]);
  assertEquals(files.blobs.counters, { count: 1, bytes: 2 });
  assertEquals(codeOf(() => files.blobs.find(once.hash)), "not_found");
  files.nowMs += 60_000;
  files.blobs.tidy();
  assertEquals([files.names, files.blobs.counters], [[], { count: 0, bytes: 0 }]);
});

Deno.test("a blob that was removed by hand is not found, and can be put again", async () => {
  await using files = await Files.make();
  const { hash } = await files.blobs.put(chunks(3), 0, "owner");
  const ways = [() => files.blobs.find(hash), () => files.blobs.open(hash, "owner")];
  for (const way of ways) {
    Deno.removeSync(join(files.directory, "blobs", hash));
    assertEquals(codeOf(way), "not_found");
    assertEquals(files.blobs.counters, { count: 0, bytes: 0 });
    await files.blobs.put(chunks(3), 0, "owner");
  }
  await files.blobs.open(hash, "owner").content.cancel();
  assertEquals(files.blobs.counters, { count: 1, bytes: 3 });
});

Deno.test("a blob whose file was cut is none any more, the log says so, and it can be put again", async () => {
  await using files = await Files.make();
  const { hash } = await files.blobs.put(chunks(3), 0, "owner");
  const ways = [() => files.blobs.find(hash), () => files.blobs.open(hash, "owner")];
  for (const way of ways) {
    Deno.truncateSync(join(files.directory, "blobs", hash), 2);
    assertEquals(codeOf(way), "not_found");
    assertEquals([files.names, files.blobs.counters], [[], { count: 0, bytes: 0 }]);
    await files.blobs.put(chunks(3), 0, "owner");
  }
  assertEquals(files.errors, Array(2).fill("a blob is not as long as it was; it is removed"));
  assertEquals((await new Response(files.blobs.open(hash, "owner").content).bytes()).length, 3);
});

Deno.test("what was put is there after a restart, and foreign names are left alone", async () => {
  await using files = await Files.make();
  const { hash } = await files.blobs.put(chunks(4), 0, "owner");
  for (const name of ["upload-7.new", "notes.txt"]) {
    Deno.writeTextFileSync(join(files.directory, "blobs", name), "x", { mode: 0o600 });
  }
  const later = new Files(files.directory, { now: () => Date.now() });
  assertEquals(later.blobs.counters, { count: 1, bytes: 4 });
  assertEquals(later.names, [hash, "notes.txt"].sort());
});

Deno.test("an envelope refers to a blob, and the reader gets it by that", async () => {
  await using daemon = await startTestDaemon();
  using http = new HttpSocket(daemon.directory);
  const { body: { blob } } = await http.json("/blobs", { method: "POST", body: "picture" });
  await http.rpc("event.send", { kind: "notify", topic: "picture.new", payload: { blob } });
  const { body } = await http.rpc("event.read", { after: 0 });
  const [{ envelope }] = body.result.events;
  assertEquals(await http.text(envelope.payload.blob.url), "picture");
});

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof PosternError) return error.code;
    throw error;
  }
  return "ok";
}
