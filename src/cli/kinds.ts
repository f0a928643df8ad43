/**
 * What a refused kind was probably meant to be.
 *
 * The daemon decides which kinds there are, so that an older program can send what a newer daemon knows; only
 * after its refusal is a mistyped one guessed at.
 */

import { PosternError, shown } from "../client/errors.ts";
import { KINDS } from "../core/kinds.ts";
import { suggestion } from "./suggestion.ts";

/** Runs `ask`, and adds to a refusal that names one of these kinds which known kind is nearest to it. */
export async function withKinds<T>(
  kinds: readonly string[] | undefined,
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw suggestingKind(error, kinds ?? []);
  }
}

/** The error as it is, or with the kind that was probably meant. */
export function suggestingKind<E>(error: E, kinds: readonly string[]): E | PosternError {
  if (!(error instanceof PosternError)) return error;
  const known: readonly string[] = KINDS;
  const wrong = kinds.find((kind) => !known.includes(kind) && error.message.includes(shown(kind)));
  const meant = wrong === undefined ? "" : suggestion(wrong, known);
  return meant === ""
    ? error
    : new PosternError(error.code, `${error.message}${meant}`, error.details);
}
