/**
 * One part of the daemon that may be unable to write: told to the log when that begins and when it is over.
 *
 * Invariant: one line for each change, however often it fails meanwhile.
 */

import { withoutSecrets } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { ComponentState } from "../operations/operation.ts";

/** What is known of it. */
export class Ailing {
  readonly #component: string;
  readonly #log: Log;
  #reason: string | null = null;

  /** @param component As `healthz` names it. */
  constructor(component: string, log: Log) {
    this.#component = component;
    this.#log = log;
  }

  get state(): ComponentState {
    return this.#reason === null ? "ok" : "failing";
  }

  /** Takes how it is now. @param failure What failed; `undefined` for nothing. */
  now(failure: unknown): void {
    const component = this.#component;
    if (failure === undefined) {
      // The line that said why may be lost with everything else that could not be written.
      const before = this.#reason;
      this.#reason = null;
      if (before !== null) this.#log.info("can be written again", { component, failed: before });
    } else if (this.#reason === null) {
      const reason = failure instanceof Error ? failure.message : String(failure);
      this.#reason = withoutSecrets(reason);
      this.#log.error("cannot be written; reading goes on", { component, reason: this.#reason });
    }
  }
}
