/**
 * Loaded before every test file: a test that sets no `timeout` of its own has this one.
 *
 * A test that waits for what never comes then fails by its name, and the others go on.
 */

/** Many times what the longest test takes on a machine that is busy with others. */
const TIMEOUT_MS = 300_000;

/** So much longer has a test that keeps the thread busy. */
const BUSY_MS = 10_000;

type Step = NonNullable<Deno.TestDefinition["fn"]>;
type Options = Partial<Deno.TestDefinition>;

const register: (definition: Deno.TestDefinition) => void = Deno.test;

/** A test that says where it stands when its time is over; one that keeps the thread busy is ended by the platform. */
function inTime(fn: Step, timeoutMs: number, place: string): Step {
  return async (context) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<never>((_, reject) => {
      const complain = () => reject(new Error(`no end within ${timeoutMs} ms: ${place}`));
      timer = setTimeout(complain, timeoutMs);
    });
    // Where the platform was faster nobody waits for it.
    limit.catch(() => {});
    try {
      await Promise.race([fn(context), limit]);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Takes all the forms that `Deno.test` has. */
function limited(...given: readonly (string | Options | Step)[]): void {
  const definition: Options = {};
  for (const part of given) {
    if (typeof part === "string") definition.name = part;
    else if (typeof part === "function") definition.fn = part;
    else Object.assign(definition, part);
  }
  const { fn = () => {}, timeout = TIMEOUT_MS } = definition;
  const name = definition.name ?? fn.name;
  // The third line of a stack is whoever called this.
  const place = new Error().stack?.split("\n")[2]?.trim() ?? "";
  const limitedFn = inTime(fn, timeout, place);
  register({ ...definition, name, fn: limitedFn, timeout: timeout + BUSY_MS });
}

Object.defineProperty(Deno, "test", { value: Object.assign(limited, Deno.test) });
