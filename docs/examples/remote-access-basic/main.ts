/** A program that publishes two records, which other processes may list, read and watch. Runs until Ctrl-C. */

import { postern } from "@postern/postern/embed";
import { z } from "zod";

const [socketPath = "/tmp/postern-example.sock"] = Deno.args;

await using db = await postern()
  .withRemoteAccess({ socketPath })
  .record("SensorData", z.object({ celsius: z.number(), humidity: z.number() }))
  .record("UserEvents", { bufferType: "spmc_ring", capacity: 10 })
  .build();

async function measure(): Promise<void> {
  const celsius = Math.round(210 + 20 * Math.random()) / 10;
  await db.record("SensorData").set({ celsius, humidity: 0.4 });
  if (celsius > 22.5) await db.record("UserEvents").set(`${celsius} degrees: it is getting warm`);
}

await measure();
const timer = setInterval(measure, 1000);
console.log(`publishing on ${db.socketPath}; Ctrl-C ends it`);

const stop = Promise.withResolvers<void>();
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop.resolve);
await stop.promise;
clearInterval(timer);
