/** `.ci/run` adds up what the runs say, whatever they end with. */

import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path/posix";

const RUN = fromFileUrl(new URL("../../.ci/run", import.meta.url));

/** Runs it with a stand-in for npx that answers each task with the given output and exit code. */
async function runWith(answers: Record<string, { says: string; code: number }>) {
  const directory = await Deno.makeTempDir();
  try {
    const cases = Object.entries(answers).map(([task, { says, code }]) =>
      `  *"${task}") echo '${says}'; exit ${code};;`
    );
    const script = ["#!/bin/sh", 'case "$*" in', ...cases, "esac", ""].join("\n");
    await Deno.writeTextFile(join(directory, "npx"), script, { mode: 0o755 });
    // A test installs nothing on the machine of whoever runs it.
    await Deno.writeTextFile(join(directory, "apt-get"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const { code, stdout } = await new Deno.Command("bash", {
      args: [RUN],
      env: { PATH: `${directory}:${Deno.env.get("PATH") ?? ""}` },
    }).output();
    return { code, last: new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const PASSED = { says: "ok | 12 passed (3 steps) | 0 failed | 1 ignored (2s)", code: 0 };

Deno.test("the last line of CI sums up the tests of all runs", async () => {
  const outcome = await runWith({
    "task test": PASSED,
    "task test:unprivileged": { says: "ok | 5 passed | 0 failed (1s)", code: 0 },
  });
  assertEquals(outcome, { code: 0, last: "17 passed, 0 failed" });
});

Deno.test("a failed test fails CI and is counted", async () => {
  const failed = { says: "FAILED | 10 passed | 2 failed (1s)", code: 1 };
  assertEquals(await runWith({ "task test": failed }), { code: 1, last: "10 passed, 2 failed" });
});

Deno.test("a step of the gate that fails without a test counts as one failure", async () => {
  const outcome = await runWith({ "task test": PASSED, "task gate": { says: "oh", code: 1 } });
  assertEquals(outcome, { code: 1, last: "12 passed, 1 failed" });
});
