/** The sandbox, tried from inside: a Worker and a launcher that the real launcher has confined. */

import { assertEquals } from "@std/assert";
import { dirname } from "@std/path/posix";
import { plant } from "../support/probe.ts";
import { startLauncher, TestDirectory } from "../support/process.ts";

/** Reading the directory includes loading code from it; it runs with the same rights and wins nothing. */
const HARMLESS = ["import a file of the directory", "start a Worker from the directory"];

async function probe() {
  await using directory = new TestDirectory();
  const outside = dirname(directory.path);
  plant({ directory: directory.path, outside });
  using listener = Deno.listen({ transport: "unix", path: `${outside}/other.sock` });
  const accepting = closeEach(listener);
  await using process = startLauncher(
    { directory: directory.path, worker: "probe_worker", probeLauncher: true },
    { permissions: ["-A", "--unstable-net"] },
  );
  const said = await process.says(/^probe: /);
  process.signal("SIGTERM");
  assertEquals(await process.end(), 0);
  const names = [...Deno.readDirSync(outside)].map(({ name }) => name).sort();
  listener.close();
  await accepting;
  return {
    launcher: JSON.parse(said.slice("probe: ".length)) as Record<string, string>,
    worker: JSON.parse(directory.read("probe.json")) as Record<string, string>,
    names,
  };
}

async function closeEach(listener: Deno.Listener): Promise<void> {
  try {
    for await (const connection of listener) connection.close();
  } catch {
    // The listener was closed.
  }
}

function notRefused(outcomes: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(outcomes).filter(([, value]) => value !== "refused"));
}

Deno.test("the sandbox refuses every right to the Worker and to the launcher", async (test) => {
  const { launcher, worker, names } = await probe();
  await test.step("the Worker is refused everything outside of the directory", () => {
    assertEquals(
      notRefused(worker),
      Object.fromEntries(HARMLESS.map((name) => [name, "ALLOWED"])),
    );
  });
  await test.step("the launcher is refused everything after it has given up its rights", () => {
    assertEquals(notRefused(launcher), {});
  });
  await test.step("both tried the same long list", () => {
    assertEquals(Object.keys(worker), Object.keys(launcher));
    assertEquals(Object.keys(worker).length > 50, true);
  });
  await test.step("nothing was left outside", () => {
    assertEquals(names, ["d", "other.sock", "outside.js", "secret"]);
  });
});

Deno.test("the launcher needs no more than narrow flags, and gives up those as well", async () => {
  await using directory = new TestDirectory();
  const root = dirname(dirname(import.meta.dirname!));
  const sockets = ["postern.sock", "http.sock"].map((name) => `unix:${directory.at(name)}`);
  await using process = startLauncher(
    { directory: directory.path, worker: "idle_worker", probeLauncher: true },
    {
      permissions: [
        `--allow-read=${directory.path},${root}`,
        `--allow-write=${directory.path}`,
        `--allow-net=${sockets}`,
        "--allow-env",
        "--allow-sys",
        "--unstable-net",
      ],
    },
  );
  plant({ directory: directory.path, outside: dirname(directory.path) });
  const outcomes = JSON.parse((await process.says(/^probe: /)).slice("probe: ".length));
  assertEquals(notRefused(outcomes), {});
});
