/** How much memory a process holds, read when it no longer changes. */

const MIB = 1024 * 1024;
const SAMPLE_MS = 100;
const STEADY_SAMPLES = 5;
const STEADY_BYTES = 256 * 1024;
const LIMIT_MS = 5_000;

/** Resident memory in MiB, once five readings in a row agree within 256 KiB, or after 5 s. */
export async function settledMemory(pid: number): Promise<number> {
  const deadline = performance.now() + LIMIT_MS;
  let readings: number[] = [];
  while (performance.now() < deadline) {
    const bytes = await residentBytes(pid);
    readings = [...readings, bytes].slice(-STEADY_SAMPLES);
    const spread = Math.max(...readings) - Math.min(...readings);
    if (readings.length === STEADY_SAMPLES && spread <= STEADY_BYTES) break;
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  }
  return readings.at(-1)! / MIB;
}

async function residentBytes(pid: number): Promise<number> {
  const text = Deno.build.os === "linux"
    ? /^VmRSS:\s*(\d+) kB$/m.exec(await Deno.readTextFile(`/proc/${pid}/status`))?.[1]
    : await psResident(pid);
  const kib = Number(text);
  if (!(kib > 0)) throw new Error(`reading the memory of process ${pid}: got "${text}"`);
  return kib * 1024;
}

async function psResident(pid: number): Promise<string> {
  const args = ["-o", "rss=", "-p", String(pid)];
  const { stdout } = await new Deno.Command("ps", { args, stdin: "null" }).output();
  return new TextDecoder().decode(stdout).trim();
}
