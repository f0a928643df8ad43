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
import { type Dialect, HTTP_SPEAKERS, type Outcome, type Speaker, SPEAKERS } from "./dialects.ts";

/** What a scenario has. */
export interface Scene {
  readonly dialect: AnyDialect;
  readonly daemon: TestDaemon;
  /** Has shown the token. */
  readonly speaker: Speaker;
  /** Another connection in the same dialect; with the token unless told otherwise. */
  another(options?: { token?: boolean }): Promise<Speaker>;
  /** Whether requests are separate, so that nobody is connected between them and nothing is pushed. */
  readonly byRequests: boolean;
}

/** The dialects of postern.sock, and JSON-RPC over HTTP. */
type AnyDialect = Dialect | "HTTP" | "WebSocket";

const OPENERS: readonly {
  readonly dialect: AnyDialect;
  readonly open: (daemon: TestDaemon, token: string | undefined) => Promise<Speaker>;
}[] = [
  ...SPEAKERS.map(({ dialect, open }) => ({
    dialect,
    open: async (daemon: TestDaemon, token: string | undefined) =>
      open(await daemon.connect(), token),
  })),
  ...HTTP_SPEAKERS,
];

interface ScenarioOptions {
  readonly config?: PartialConfig;
  /** Dialects that cannot play it, and why. */
  readonly except?: Partial<Record<AnyDialect, string>>;
}

/** What cannot be played by single requests. */
export const PUSHED = { HTTP: "an HTTP request has nothing to be pushed on" };

/** What cannot be played where nobody is connected without a token. */

const RECORDS = { policy: "read_write", writable: [">"] };

/** One test in each dialect. */
export function scenario(
  name: string,
  play: (scene: Scene) => Promise<void>,
  { config = {}, except = {} }: ScenarioOptions = {},
): void {
  for (const { dialect, open } of OPENERS) {
    const reason = except[dialect];
    const skipped = reason === undefined ? "" : ` (skipped: ${reason})`;
    Deno.test({
      name: `${dialect}: ${name}${skipped}`,
      ignore: reason !== undefined,
      async fn() {
        await using daemon = await startTestDaemon({ config: { records: RECORDS, ...config } });
        const another = ({ token = true } = {}) => open(daemon, token ? daemon.token : undefined);
        const byRequests = dialect === "HTTP";
        await play({ dialect, daemon, speaker: await another(), another, byRequests });
      },
    });
  }
}

/** A scenario of what is pushed, which needs something to be pushed on. */
export const subscriptionScenario: typeof scenario = (name, play, options) =>
  scenario(
    name,
    (scene) => scene.byRequests ? expectNothingToStreamOn(scene) : play(scene),
    options,
  );

async function expectNothingToStreamOn({ speaker }: Scene): Promise<void> {
  for (const operation of ["event.subscribe", "record.subscribe"]) {
    expectRefused(speaker, await speaker.call(operation, { name: ">" }), "invalid_request");
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
