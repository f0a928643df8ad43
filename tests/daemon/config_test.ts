/** The configuration: defaults, bounds, faults that name the key, and what wins over what. */

import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { PosternError } from "../../src/core/errors.ts";
import { defaultConfig, parseConfig, validateConfig } from "../../src/daemon/config.ts";
import { DEFAULTS } from "../../src/daemon/config_defaults.ts";
import { loadConfig, readOverrides } from "../../src/daemon/settings.ts";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import { startProcess, TestDirectory } from "../support/process.ts";

function fault(text: string): string {
  const error = assertThrows(() => parseConfig(text, "the file"), PosternError);
  assertEquals(error.code, "invalid_params");
  assertStringIncludes(error.message, "reading the configuration: the file");
  return error.message;
}

Deno.test("an empty configuration is the default one", () => {
  for (const text of ["", "  \n", "{}", "// nothing\n{}", "\uFEFF{ }"]) {
    assertEquals(parseConfig(text, "the file"), defaultConfig());
  }
});

Deno.test("the defaults are those that the documentation promises", () => {
  const { ipc, limits, daemon, socket, log } = defaultConfig();
  assertEquals(ipc, {
    allow_v1: true,
    buffer_size: 100_000,
    buffer_ttl_secs: 86_400,
    buffer_byte_cap: 64 * 1024 * 1024,
    token_path: "ipc-token",
  });
  assertEquals(limits.max_line_bytes, 1024 * 1024);
  assertEquals(limits.max_connections, 1024);
  assertEquals(limits.outbox_bytes, 4 * 1024 * 1024);
  assertEquals(daemon.shutdown_grace_ms, 30_000);
  assertEquals(socket, { dir: null, mode: "0600", gid: null });
  assertEquals(log, { level: "info", max_bytes: 10_485_760, files: 5, audit: true });
});

Deno.test("a log file is at most what can be copied in a moment", () => {
  assertEquals(parseConfig('{"log":{"max_bytes":67108864}}', "the file").log.max_bytes, 67_108_864);
  assertStringIncludes(fault('{"log":{"max_bytes":67108865}}'), "log.max_bytes");
});

Deno.test("comments and trailing commas are allowed, and one key leaves the others alone", () => {
  const config = parseConfig(`{ /* small */ "ipc": { "buffer_size": 7, }, }`, "the file");
  assertEquals(config.ipc, { ...defaultConfig().ipc, buffer_size: 7 });
  assertEquals(config.limits, defaultConfig().limits);
});

Deno.test("an unknown key is a fault that names the nearest one", () => {
  const cases = {
    '{"ipc":{"buffersize":1}}': 'unknown key "ipc.buffersize"; the nearest is "ipc.buffer_size"',
    '{"buffer_size":1}': 'unknown key "buffer_size"; the nearest is "ipc.buffer_size"',
    '{"limit":{}}': 'unknown key "limit"; the nearest is "limits"',
    '{"limits":{"rate":{"reed":1}}}': 'the nearest is "limits.rate.read"',
    '{"qqqqqqqq":1}': 'unknown key "qqqqqqqq"; the nearest is',
    '{"__proto__":{"require_token":true}}': 'unknown key "__proto__"; the nearest is',
  };
  for (const [text, expected] of Object.entries(cases)) assertStringIncludes(fault(text), expected);
});

Deno.test("a wrong value is a fault that names the key, the rule and the value", () => {
  const cases: Record<string, RegExp> = {
    '{"ipc":{"buffer_size":-1}}': /ipc\.buffer_size must be at least 0, not -1/,
    '{"ipc":{"buffer_size":1.5}}': /ipc\.buffer_size must be a whole number, not 1\.5/,
    '{"ipc":{"buffer_size":"many"}}': /ipc\.buffer_size must be a number, not "many"/,
    '{"ipc":[]}': /ipc must be an object, not an array/,
    '{"require_token":1}': /require_token must be true or false, not 1/,
    '{"log":{"level":"loud"}}': /log\.level must be one of "debug", .*, not "loud"/,
    '{"daemon":{"shutdown_grace_ms":3000000000}}': /must be at most 2147483647, not 3000000000/,
    '{"socket":{"dir":"here"}}': /socket\.dir must be an absolute path, not "here"/,
    '{"trust_socket":true,"socket":{"mode":"0660"}}': /trust_socket needs socket\.mode "0600"/,
    '{"name":""}': /name must be at least 1 characters long, not ""/,
    "[]": /must hold an object, not an array/,
    '{"ipc":': /is no JSON/,
  };
  for (const [text, expected] of Object.entries(cases)) assertMatch(fault(text), expected);
});

Deno.test("the token's file lies in the directory and takes no other file's name", () => {
  for (const path of ["../token", "/etc/token", "log/token", "", ".", "..", "a\u0000b"]) {
    assertMatch(fault(JSON.stringify({ ipc: { token_path: path } })), /ipc\.token_path/);
  }
  for (const path of ["daemon.lock", "identity.key", "events.kv", "postern.sock", "config.jsonc"]) {
    assertMatch(fault(JSON.stringify({ ipc: { token_path: path } })), /uses for something else/);
  }
  assertEquals(parseConfig(`{"ipc":{"token_path":"token-2"}}`, "f").ipc.token_path, "token-2");
});

Deno.test("a file with many faults is told in one short line", () => {
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`wrong${index}`, 1]));
  const message = fault(JSON.stringify(many));
  assertMatch(message, /and 45 more$/);
  assertEquals(message.includes("\n"), false);
});

Deno.test("a daemon without a configuration has the schema's defaults", () => {
  assertEquals(DEFAULTS, defaultConfig());
});

Deno.test("the environment wins over the file", async () => {
  await using directory = new TestDirectory();
  const text = `{ "daemon": { "idle_timeout_ms": 5, "start_timeout_ms": 6 } }`;
  Deno.writeTextFileSync(directory.at("config.jsonc"), text, { mode: 0o600 });
  const env = new Map([
    ["POSTERN_IDLE_TIMEOUT", "-20"],
    ["POSTERN_DAEMON_ENABLED", "no"],
    ["POSTERN_AUTO_START", "0"],
    ["POSTERN_TOKEN_FILE", directory.at("other-token")],
  ]);
  const overrides = readOverrides(env, directory.path);
  const options = { overrides, validate: validateConfig };
  const config = await loadConfig(directory.path, Deno.uid(), options);
  assertEquals(config.daemon.idle_timeout_ms, -1);
  assertEquals(config.daemon.start_timeout_ms, 6);
  assertEquals(config.daemon.enabled, false);
  assertEquals(config.daemon.auto_start, false);
  assertEquals(config.ipc.token_path, "other-token");
});

Deno.test("a wrong value in the environment is a fault that names the variable", async () => {
  await using directory = new TestDirectory();
  const cases = {
    POSTERN_IDLE_TIMEOUT: "soon",
    POSTERN_AUTO_START: "perhaps",
    POSTERN_TOKEN_FILE: "/etc/token",
  };
  for (const [name, value] of Object.entries(cases)) {
    const env = new Map([[name, value]]);
    const error = assertThrows(() => readOverrides(env, directory.path), PosternError);
    assertMatch(error.message, new RegExp(`${name} must .*, not "${value}"`));
  }
});

Deno.test("socket.dir and POSTERN_SOCKET_PATH move the socket, and daemon.json names it", async () => {
  await using directory = new TestDirectory();
  await using configured = new TestDirectory();
  await using given = new TestDirectory();
  const text = JSON.stringify({ socket: { dir: configured.path } });
  Deno.writeTextFileSync(directory.at("config.jsonc"), text, { mode: 0o600 });
  for (
    const [env, place] of [[{}, configured], [
      { POSTERN_SOCKET_PATH: given.at("postern.sock") },
      given,
    ]] as const
  ) {
    await using process = await startProcess(directory.path, { env }).ready();
    const { sockets } = JSON.parse(directory.read("daemon.json"));
    assertEquals(sockets.ndjson, place.at("postern.sock"));
    (await Deno.connect({ transport: "unix", path: sockets.ndjson })).close();
    process.signal("SIGTERM");
    assertEquals(await process.end(), 0);
    assertEquals(place.names(), [], "the socket is gone, the directory of a person stays");
  }
});

Deno.test("keys that are configured for parts still to come are named in the log, others are not", async () => {
  const warnings = ({ logged }: TestDaemon) =>
    logged.filter(({ message }) => message === "configured, and without effect in this version");
  await using plain = await startTestDaemon({
    config: { http: { max_sse_clients: 7 }, limits: { max_in_flight: 100, blob_bytes: 5 } },
  });
  assertEquals(warnings(plain), []);
  await using ahead = await startTestDaemon({
    config: {
      limits: { max_in_flight: 100 },
      daemon: { auto_start: false, idle_timeout_ms: 7 },
    },
  });
  assertEquals(warnings(ahead).map(({ level, fields }) => [level, fields]), [
    ["warn", { keys: ["daemon.auto_start", "daemon.idle_timeout_ms"] }],
  ]);
});
