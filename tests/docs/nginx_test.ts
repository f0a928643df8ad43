/** The recipes of docs/deployment.md: nginx in front of a daemon, and the unit as systemd reads it. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path/posix";
import { startTestDaemon, type TestDaemon } from "../support/in_process.ts";

const PAGE = Deno.readTextFileSync(
  fromFileUrl(new URL("../../docs/deployment.md", import.meta.url)),
);

/** The fenced block of a language. */
function block(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "ms").exec(PAGE)?.[1];
  if (found === undefined) throw new Error(`docs/deployment.md has no ${language} block`);
  return found;
}

function hasTool(command: string, argument: string): boolean {
  try {
    return new Deno.Command(command, { args: [argument], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

function testWith(tool: string, argument: string, name: string, fn: () => Promise<void>): void {
  const isThere = Deno.build.os === "linux" && hasTool(tool, argument);
  const whole = `docs/deployment.md: ${name}${isThere ? "" : ` [needs ${tool}]`}`;
  if (!isThere) console.log(`ignored: ${whole}`);
  Deno.test({ name: whole, ignore: !isThere, fn });
}

/** nginx with the recipe of the page, in front of a daemon. */
class Nginx implements AsyncDisposable {
  readonly port: number;
  readonly #child: Deno.ChildProcess;
  readonly #directory: string;

  private constructor(port: number, child: Deno.ChildProcess, directory: string) {
    this.port = port;
    this.#child = child;
    this.#directory = directory;
  }

  static async start(daemon: TestDaemon): Promise<Nginx> {
    const directory = await Deno.makeTempDir({ prefix: "postern_nginx_" });
    const port = freePort();
    const recipe = block("nginx")
      .replace("/run/postern/http.sock", join(daemon.directory, "http.sock"))
      .replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`)
      .replace("server_name postern.example", "server_name 127.0.0.1");
    const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    const config = [
      Deno.uid() === 0 ? "user root;" : "",
      "daemon off; master_process on; worker_processes 1;",
      `pid ${directory}/pid; error_log ${directory}/error.log;`,
      "events {}",
      "http { access_log off;",
      ...places.map((name) => `${name}_temp_path ${directory}/${name};`),
      recipe,
      "}",
    ].join("\n");
    const path = join(directory, "nginx.conf");
    await Deno.writeTextFile(path, config);
    const child = new Deno.Command("nginx", {
      args: ["-p", directory, "-e", `${directory}/error.log`, "-c", path],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const nginx = new Nginx(port, child, directory);
    await nginx.#listening();
    return nginx;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** Until it answers; fails if it has ended instead. */
  async #listening(): Promise<void> {
    let isOver = false;
    this.#child.status.then(() => isOver = true);
    while (!isOver) {
      try {
        (await Deno.connect({ port: this.port })).close();
        return;
      } catch { /* not yet */ }
    }
    throw new Error(Deno.readTextFileSync(join(this.#directory, "error.log")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await Deno.remove(this.#directory, { recursive: true });
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

testWith(
  "nginx",
  "-v",
  "the nginx recipe passes requests, events, uploads and WebSockets",
  async () => {
    await using daemon = await startTestDaemon();
    await using nginx = await Nginx.start(daemon);
    const headers = { authorization: `Bearer ${daemon.token}` };
    const health = await fetch(nginx.url("/healthz"), { headers });
    assertEquals([health.status, (await health.json()).status], [200, "healthy"]);
    const stranger = await fetch(nginx.url("/healthz"));
    await stranger.body?.cancel();
    assertEquals(stranger.status, 401, "the proxy grants nothing");
    const page = await fetch(nginx.url("/healthz"), {
      headers: { ...headers, origin: "https://example.org" },
    });
    await page.body?.cancel();
    assertEquals(page.status, 403, "a page is refused behind a proxy as well");

    const stream = await fetch(nginx.url("/events"), { headers });
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    let told = "";
    const until = async (text: string) => {
      while (!told.includes(text)) told += (await reader.read()).value ?? "";
    };
    await until(": heartbeat");
    // One after the other: each must arrive while the stream is still open, not when a buffer is full.
    for (const seq of [1, 2]) {
      await daemon.fill(1);
      await until(`id: ${seq}\n`);
    }
    await reader.cancel();

    const content = new Uint8Array(5_000_000).fill(7);
    const put = await fetch(nginx.url("/blobs"), { method: "POST", headers, body: content });
    const { blob } = await put.json();
    const got = await fetch(nginx.url(blob.url), { headers });
    assertEquals((await got.arrayBuffer()).byteLength, content.length);

    const socket = new WebSocket(nginx.url("/ws").replace("http:", "ws:"), { headers });
    const answer = Promise.withResolvers<string>();
    socket.onopen = () => socket.send('{"jsonrpc":"2.0","id":7,"method":"system.whoami"}');
    socket.onmessage = ({ data }) => answer.resolve(data);
    socket.onerror = () => answer.reject(new Error("the WebSocket failed"));
    assertStringIncludes(await answer.promise, daemon.agentId);
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
  },
);

testWith("nginx", "-v", "a host that is not the proxy's own gets 421", async () => {
  await using daemon = await startTestDaemon();
  await using nginx = await Nginx.start(daemon);
  const statusFor = async (host: string) => {
    using raw = await Deno.connect({ port: nginx.port });
    const head = `GET /healthz HTTP/1.1\r\n${host}Authorization: Bearer ${daemon.token}\r\n`;
    await raw.write(new TextEncoder().encode(`${head}Connection: close\r\n\r\n`));
    const answer = await new Response(raw.readable).text();
    return Number(answer.split(" ")[1]);
  };
  assertEquals(await statusFor("Host: 127.0.0.1\r\n"), 200);
  for (const host of ["attacker.example", "localhost", "127.0.0.1.attacker.example"]) {
    assertEquals(await statusFor(`Host: ${host}\r\n`), 421, host);
  }
});

testWith("nginx", "-v", "with trust_socket everybody behind the proxy is the owner", async () => {
  await using daemon = await startTestDaemon({ config: { trust_socket: true } });
  await using nginx = await Nginx.start(daemon);
  const body = '{"jsonrpc":"2.0","id":1,"method":"token.list"}';
  const answer = await fetch(nginx.url("/rpc"), { method: "POST", body });
  assertEquals([answer.status, (await answer.json()).result], [200, { tokens: [] }]);
});

testWith("systemd-analyze", "--version", "systemd has nothing against the unit", async () => {
  const directory = await Deno.makeTempDir({ prefix: "postern_unit_" });
  try {
    const unit = join(directory, "postern.service");
    // The program need not be installed where this runs.
    await Deno.writeTextFile(unit, block("ini").replace("/usr/local/bin/postern", "/bin/true"));
    const { success, stderr } = await new Deno.Command("systemd-analyze", {
      args: ["verify", "--man=no", unit],
      stdin: "null",
    }).output();
    const said = new TextDecoder().decode(stderr).split("\n")
      .filter((line) => line.includes("postern"));
    assertEquals(said, []);
    assert(success || said.length === 0);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
