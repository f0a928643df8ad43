/**
 * Runs the real launcher with the arguments of a test, and exits with its code.
 *
 * With `probeLauncher` it tries, once the daemon is ready, what the launcher may still do itself.
 */

import { launch } from "../../src/daemon/launcher.ts";
import type { LaunchArguments } from "./process.ts";
import { tryAll } from "./probe.ts";

const { directory, worker, silenceMs, probeLauncher }: LaunchArguments = JSON.parse(Deno.args[0]!);

function say(line: string): void {
  console.error(`postern: ${line}`);
  if (probeLauncher && line.startsWith("ready:")) void tellProbe();
}

async function tellProbe(): Promise<void> {
  console.error(
    `probe: ${
      JSON.stringify(
        await tryAll({ directory, outside: directory.slice(0, directory.lastIndexOf("/")) }),
      )
    }`,
  );
}

Deno.exit(
  await launch({
    directory,
    say,
    ...silenceMs === undefined ? {} : { silenceMs },
    ...worker === undefined
      ? {}
      : { workerUrl: new URL(`./workers/${worker}.ts`, import.meta.url) },
  }),
);
