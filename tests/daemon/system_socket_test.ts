/**
 * The sockets in a directory that a service manager made for a group: who may reach them, and what is refused.
 *
 * Another user in that group takes root to be; the rest holds for everyone.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { workerPermissions } from "../../src/daemon/rights.ts";
import { startProcess, TestDirectory } from "../support/process.ts";

const NOBODY = 65_534;
/** A group that neither the tests' user nor `NOBODY` is otherwise in. */
const GROUP = 64_321;

const isRoot = Deno.build.os === "linux" && Deno.uid() === 0;
const needsRoot = isRoot ? "" : " [needs root]";

/** What is configured, over sockets in `dir` for a group. */
function configure(directory: TestDirectory, dir: string | null, more: object = {}): void {
  const socket = { ...(dir === null ? {} : { dir }), mode: "0660" };
  Deno.writeTextFileSync(directory.at("config.jsonc"), JSON.stringify({ socket, ...more }));
}

/** A directory beside the daemon's own, as a service manager would make it. */
function madeDirectory(directory: TestDirectory, mode = 0o750, gid: number | null = null): string {
  const path = directory.beside("run");
  Deno.mkdirSync(path);
  if (gid !== null) Deno.chownSync(path, null, gid);
  Deno.chmodSync(path, mode);
  return path;
}

async function refused(directory: TestDirectory, reason: RegExp): Promise<void> {
  await using process = startProcess(directory.path);
  assertEquals(await process.end(), 1);
  assertMatch(process.stderr, reason);
}

function modeOf(path: string): string {
  return ((Deno.lstatSync(path).mode ?? 0) & 0o777).toString(8);
}

Deno.test("sockets for a group lie in the directory that was made for them, and go away from it", async () => {
  await using directory = new TestDirectory();
  const run = madeDirectory(directory);
  configure(directory, run);
  await using process = await startProcess(directory.path).ready();
  const sockets = ["http.sock", "postern.sock"];
  assertEquals([...Deno.readDirSync(run)].map(({ name }) => name).sort(), sockets);
  for (const name of sockets) assertEquals(modeOf(`${run}/${name}`), "660");
  assertEquals(modeOf(run), "750", "the directory stays as it was made");
  assertEquals(JSON.parse(directory.read("daemon.json")).sockets, {
    ndjson: `${run}/postern.sock`,
    http: `${run}/http.sock`,
  });
  process.signal("SIGTERM");
  assertEquals(await process.end(), 0);
  assertEquals([...Deno.readDirSync(run)], []);
});

Deno.test("after a crash the next start takes the shared sockets over", async () => {
  await using directory = new TestDirectory();
  const run = madeDirectory(directory);
  configure(directory, run);
  const first = await startProcess(directory.path).ready();
  await first.crash();
  await using second = await startProcess(directory.path).ready();
  await second.says(/removed its socket .*postern\.sock, .*http\.sock/);
});

Deno.test("a directory that others may enter or the group may change is refused", async () => {
  for (const mode of [0o755, 0o770, 0o751]) {
    await using directory = new TestDirectory();
    configure(directory, madeDirectory(directory, mode));
    await refused(directory, /run is refused: it has mode 0\d+, at most 0750 is allowed/);
  }
});

Deno.test("a shared directory that is missing, a link, or holds what is foreign is refused", async () => {
  {
    await using directory = new TestDirectory();
    configure(directory, directory.beside("run"));
    await refused(directory, /run is refused: it is missing; whoever shares it makes it/);
  }
  {
    await using directory = new TestDirectory();
    const run = madeDirectory(directory);
    Deno.symlinkSync(run, directory.beside("link"));
    configure(directory, directory.beside("link"));
    await refused(directory, /link is refused: it is a symbolic link/);
  }
  {
    await using directory = new TestDirectory();
    const run = madeDirectory(directory);
    configure(directory, run);
    using _listener = Deno.listen({ transport: "unix", path: `${run}/other.sock` });
    await refused(directory, /other\.sock is refused: it is neither a file nor a socket/);
  }
});

Deno.test("a mode for a group needs a directory that the group may enter", async () => {
  await using directory = new TestDirectory();
  configure(directory, null);
  await refused(directory, /socket\.mode "0660" needs socket\.dir/);
  configure(directory, directory.path);
  await refused(directory, /socket\.mode "0660" needs socket\.dir/);
});

Deno.test("a socket that a group may reach is never trusted", async () => {
  await using directory = new TestDirectory();
  configure(directory, madeDirectory(directory), { trust_socket: true });
  await refused(directory, /trust_socket needs socket\.mode "0600"/);
});

Deno.test("of a directory that somebody else made the Worker gets the sockets alone", () => {
  const ndjson = "/run/postern/postern.sock";
  const http = "/run/postern/http.sock";
  const place = { ndjson, http, extraDirectory: "/run/postern", isTemporary: false, because: null };
  const { read, write, net } = workerPermissions("/var/lib/postern", place, true);
  assertEquals([read, write], [["/var/lib/postern", ndjson, http], read]);
  assertEquals(net, [`unix:${ndjson}`, `unix:${http}`]);
});

Deno.test({
  name: `a user of the group reaches the sockets and must show a token; others do not${needsRoot}`,
  ignore: !isRoot,
  async fn() {
    await using directory = new TestDirectory();
    Deno.chmodSync(directory.beside("."), 0o711);
    const run = madeDirectory(directory, 0o750, GROUP);
    const socket = { dir: run, mode: "0660", gid: GROUP };
    Deno.writeTextFileSync(directory.at("config.jsonc"), JSON.stringify({ socket }));
    await using _daemon = await startProcess(directory.path).ready();
    assertEquals(Deno.lstatSync(`${run}/postern.sock`).gid, GROUP);
    const ask = (gid: number, token: string | null) => asUser(gid, `${run}/http.sock`, token);
    assertEquals(await ask(NOBODY, null), "000", "outside of the group nothing is reached");
    assertEquals(await ask(GROUP, null), "401");
    assertEquals(await ask(GROUP, "0".repeat(64)), "403");
    assertEquals(await ask(GROUP, directory.read("ipc-token").trim()), "200");
  },
});

/** The status of a request by another user, 000 where it does not get that far. */
async function asUser(gid: number, socket: string, token: string | null): Promise<string> {
  const header = token === null ? [] : ["-H", `Authorization: Bearer ${token}`];
  const { stdout } = await new Deno.Command("curl", {
    args: [
      ...["-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", socket],
      ...header,
      "http://localhost/healthz",
    ],
    uid: NOBODY,
    gid,
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}
