/**
 * WebSockets that have not shown a token yet.
 *
 * The platform counts only messages that are whole, so half of one may be of any size: where others than the daemon's
 * own user reach the socket there are no such WebSockets. Where only that user does, who could read the token file as
 * well, there are `MAX_STRANGERS` at once, each closed after `limits.hello_timeout_ms`. The platform cannot end one
 * that does not answer its goodbye, and keeps what came on it: so that one is still counted, until it goes.
 */

import { PosternError } from "../../core/errors.ts";
import { requireScope } from "../../operations/registry.ts";
import type { Connection } from "../connection.ts";

const MAX_STRANGERS = 8;

export interface StrangersOptions {
  /** Whether only the daemon's own user reaches the socket. */
  readonly isPrivate: boolean;
  readonly timeoutMs: () => number;
}

/** Those of one server. */
export class Strangers {
  readonly #options: StrangersOptions;
  #count = 0;

  constructor(options: StrangersOptions) {
    this.#options = options;
  }

  /** @throws PosternError `auth_required` where there are none, `too_many` */
  requireRoom(path: string): void {
    if (!this.#options.isPrivate) requireScope(`GET ${path}`, null, null);
    if (this.#count < MAX_STRANGERS) return;
    throw new PosternError(
      "too_many",
      `${MAX_STRANGERS} WebSockets have not shown a token yet; show one in a header`,
      { limit: MAX_STRANGERS },
    );
  }

  /**
   * Counts one until it has shown a token or is gone. One that takes too long is closed.
   *
   * @param gone Resolves when the platform has let go of it.
   */
  watch(connection: Connection, gone: Promise<void>): void {
    this.#count++;
    const left = Promise.withResolvers<void>();
    connection.onLogin = left.resolve;
    const timer = setTimeout(() => connection.close(), this.#options.timeoutMs());
    Promise.race([left.promise, gone]).then(() => {
      clearTimeout(timer);
      this.#count--;
    });
  }
}
