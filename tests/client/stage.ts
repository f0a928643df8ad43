/** A link in memory, for tests that say themselves what becomes of each connection and each wait. */

import { Connection } from "../../src/client/connection.ts";
import { Link, type LinkNotice } from "../../src/client/link.ts";
import { type ReconnectPolicy, toPolicy } from "../../src/client/reconnect.ts";
import type { FakeSocket } from "../support/fake_axon.ts";

/** What an attempt to connect comes to. */
type Attempt = FakeSocket | Error;

/** A link on sockets of the test's, whose waits last until the test says. */
export class Stage {
  readonly notices: LinkNotice[] = [];
  readonly waits: number[] = [];
  #attempts: Attempt[];
  #gate: PromiseWithResolvers<void> | null = null;
  #waiting = Promise.withResolvers<void>();

  constructor(attempts: Attempt[]) {
    this.#attempts = attempts;
  }

  open(policy: Partial<ReconnectPolicy> | null = {}): Promise<Link> {
    return Link.open({
      open: async (options) => {
        await Promise.resolve();
        const attempt = this.#attempts.shift();
        if (attempt === undefined || attempt instanceof Error) throw attempt;
        const epoch = `epoch ${this.#attempts.length > 0 ? 1 : 2}`;
        const welcome = { version: 2, agent_id: "x", epoch, features: [], originator: null };
        return { connection: new Connection(attempt, options), welcome, authenticated: true };
      },
      policy: policy === null ? null : toPolicy({
        random: () => 1,
        wait: (ms, signal) => this.#wait(ms, signal),
        ...policy,
      }),
      onNotice: (notice) => this.notices.push(notice),
    });
  }

  /** Until the link waits for its next attempt. */
  async isDown(): Promise<void> {
    if (this.#gate === null) await this.#waiting.promise;
  }

  /** Lets the next wait be over, as soon as there is one. */
  async goOn(): Promise<void> {
    await this.isDown();
    this.#gate!.resolve();
    this.#gate = null;
    this.#waiting = Promise.withResolvers();
  }

  #wait(ms: number, signal: AbortSignal): Promise<void> {
    this.waits.push(ms);
    const gate = this.#gate = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => gate.resolve());
    this.#waiting.resolve();
    return gate.promise;
  }
}
