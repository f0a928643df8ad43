/**
 * Loaded before every test file: a test that sets no `timeout` of its own has this one.
 *
 * A test that waits for what never comes then fails by its name, and the others go on.
 */

/** Many times what the longest test takes on a machine that is busy with others. */
const TIMEOUT_MS = 300_000;

type Step = NonNullable<Deno.TestDefinition["fn"]>;
type Options = Partial<Deno.TestDefinition>;

const register: (definition: Deno.TestDefinition) => void = Deno.test;

/** Takes all the forms that `Deno.test` has. */
function limited(...given: readonly (string | Options | Step)[]): void {
  const definition: Options = {};
  for (const part of given) {
    if (typeof part === "string") definition.name = part;
    else if (typeof part === "function") definition.fn = part;
    else Object.assign(definition, part);
  }
  const name = definition.name ?? definition.fn?.name ?? "";
  register({ timeout: TIMEOUT_MS, ...definition, name } as Deno.TestDefinition);
}

Object.defineProperty(Deno, "test", { value: Object.assign(limited, Deno.test) });
