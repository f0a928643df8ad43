/** Changes of the database as they are put together to atomic operations. */

/** One change, or several that are never torn apart. */
export type Mutate = (operation: Deno.AtomicOperation) => void;

/** Mutations in one atomic operation. Deno KV takes 1,000. */
const MUTATIONS = 900;

/** Changes in runs that each fit one atomic operation by their number. */
export function inBites(mutations: readonly Mutate[]): Mutate[][] {
  const bites: Mutate[][] = [];
  for (let at = 0; at < mutations.length; at += MUTATIONS) {
    bites.push(mutations.slice(at, at + MUTATIONS));
  }
  return bites;
}
