/** Which record was probably meant by a name that none has. */

import { PosternError, shown } from "../client/errors.ts";
import type { Client } from "../client/mod.ts";
import { listRecords } from "./record_list.ts";
import { suggestion } from "./suggestion.ts";

/**
 * Runs `ask`, and adds to a refusal that finds no record of these names which existing name is nearest.
 *
 * @returns What `ask` returns.
 */
export async function withRecordNames<T>(
  client: Client,
  names: readonly string[],
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw await suggestingName(client, names, error);
  }
}

/** The error as it is, or with the record that was probably meant. */
async function suggestingName(
  client: Client,
  names: readonly string[],
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof PosternError) || error.code !== "not_found") return error;
  const wrong = names.find((name) => error.message.includes(shown(name)));
  if (wrong === undefined) return error;
  const known = await listRecords(client).catch(() => []);
  const meant = suggestion(wrong, known.map(({ name }) => name));
  return new PosternError(error.code, `${error.message}${meant}`, error.details);
}
