/**
 * What the machine itself can do at this moment: one fsync, and one echo over a Unix socket.
 *
 * A disk or a busy neighbour can make every figure two or three times slower from one minute to the next.
 * The ratio to a baseline of the same minute says more than the figure.
 */

import { fromFileUrl, join } from "@std/path/posix";
import { AxonSocket, publishLines } from "./axon_socket.ts";
import type { Figures } from "./steps.ts";
import { quantile, timeEach } from "./statistics.ts";

const ECHO = fromFileUrl(new URL("./echo.ts", import.meta.url));
const WARM_UP = 200;

/** Measures both in the directory, which must be on the disk that the daemon uses. */
export async function measureBaseline(directory: string, count: number): Promise<Figures> {
  return {
    fsync_p50_us: await fsyncTime(directory, count),
    echo_p50_us: await echoTime(directory, count),
  };
}

/** A file that grows by one event at a time, each made durable before the next. */
async function fsyncTime(directory: string, count: number): Promise<number> {
  using file = await Deno.open(join(directory, "fsync"), { write: true, createNew: true });
  const event = new Uint8Array(300).fill(46);
  const times = await timeEach(count, async () => {
    await file.write(event);
    await file.syncData();
  });
  return quantile(times, 0.5);
}

async function echoTime(directory: string, count: number): Promise<number> {
  const path = join(directory, "echo.sock");
  await using server = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", ECHO, path],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = server.stdout.getReader();
  await reader.read();
  using socket = new AxonSocket(await Deno.connect({ transport: "unix", path }));
  const line = publishLines(1);
  const ask = async () => {
    await socket.write(line);
    await socket.readLines(1);
  };
  await timeEach(WARM_UP, ask);
  const times = await timeEach(count, ask);
  await reader.cancel();
  return quantile(times, 0.5);
}
