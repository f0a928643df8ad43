/** The few statistics that the benchmark needs. All of them leave their input as it was. */

/** The value below which the share `q` (0 to 1) of the values lies; the nearest one, not interpolated. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new RangeError("taking a quantile: no values were given");
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}

/** The middle value; of an even number of values the mean of the middle two. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("taking a median: no values were given");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Runs `task` as often as told, one after the other, and returns how long each took, in microseconds. */
export async function timeEach(count: number, task: () => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    await task();
    times.push((performance.now() - begun) * 1_000);
  }
  return times;
}
