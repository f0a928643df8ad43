/**
 * The load process: `load.ts <scenario> <directory> <count>` runs one scenario and prints its figures as
 * one line of JSON. The scenario `connections` opens as many, prints a line, and keeps them until its
 * stdin ends.
 */

import { AxonSocket } from "./axon_socket.ts";
import { SCENARIOS } from "./scenarios.ts";
import type { Load } from "./steps.ts";

if (import.meta.main) {
  const [name = "", directory = "", count = ""] = Deno.args;
  const load: Load = { directory, count: Number(count) };
  if (name === "connections") await holdConnections(load);
  else await run(name, load);
}

async function run(name: string, load: Load): Promise<void> {
  const scenario = SCENARIOS[name];
  if (scenario === undefined) throw new Error(`there is no scenario "${name}"`);
  console.log(JSON.stringify(await scenario(load)));
}

async function holdConnections({ directory, count }: Load): Promise<void> {
  const sockets: AxonSocket[] = [];
  for (let i = 0; i < count; i++) sockets.push(await AxonSocket.open(directory));
  console.log(JSON.stringify({ connections: sockets.length }));
  await Deno.stdin.read(new Uint8Array(1));
  for (const socket of sockets) socket[Symbol.dispose]();
}
