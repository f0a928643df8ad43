/**
 * A scenario is written once and played in every dialect, each against a daemon of its own.
 *
 * A dialect in which a scenario cannot be played is skipped with the reason in the test's name. Records may be set
 * in every dialect: the policy and the opt-in that bind AimX allow it, unless a scenario says otherwise.
 */

import { assert, assertEquals } from "@std/assert";
import type { ErrorCode } from "../../src/core/errors.ts";
import { type PartialConfig, startTestDaemon, type TestDaemon } from "../support/in_process.ts";
import type { Line } from "../support/raw_client.ts";
import { type Dialect, type Outcome, type Speaker, SPEAKERS } from "./dialects.ts";

/** What a scenario has. */
export interface Scene {
  readonly dialect: Dialect;
  readonly daemon: TestDaemon;
  /** Has shown the token. */
  readonly speaker: Speaker;
  /** Another connection in the same dialect; with the token unless told otherwise. */
  another(options?: { token?: boolean }): Promise<Speaker>;
}

interface ScenarioOptions {
  readonly config?: PartialConfig;
  /** Dialects that cannot play it, and why. */
  readonly except?: Partial<Record<Dialect, string>>;
}

const RECORDS = { policy: "read_write", writable: [">"] };

/** One test in each dialect. */
export function scenario(
  name: string,
  play: (scene: Scene) => Promise<void>,
  { config = {}, except = {} }: ScenarioOptions = {},
): void {
  for (const { dialect, open } of SPEAKERS) {
    const reason = except[dialect];
    const skipped = reason === undefined ? "" : ` (skipped: ${reason})`;
    Deno.test({
      name: `${dialect}: ${name}${skipped}`,
      ignore: reason !== undefined,
      async fn() {
        await using daemon = await startTestDaemon({ config: { records: RECORDS, ...config } });
        const another = async ({ token = true } = {}) =>
          open(await daemon.connect(), token ? daemon.token : undefined);
        await play({ dialect, daemon, speaker: await another(), another });
      },
    });
  }
}

/** The result of what must not have been refused. */
export function resultOf(outcome: Outcome): Line {
  assert(outcome.ok, JSON.stringify(outcome));
  return outcome.result;
}

/** Expects a refusal, in the dialect's word for it. */
export function expectRefused(speaker: Speaker, outcome: Outcome, code: ErrorCode): void {
  assert(!outcome.ok, `${code} was awaited, got ${JSON.stringify(outcome)}`);
  assertEquals(outcome.error, speaker.word(code), outcome.message);
}
