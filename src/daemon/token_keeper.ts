/**
 * Keeps the owner token and its file in step, and ends what a token opened when the token ends.
 *
 * Invariants: the file is replaced in one step before the new token is taken, so that whoever reads it has one that
 * is valid; a connection outlives the token that it showed by no more than its last answers.
 */

import { PosternError } from "../core/errors.ts";
import type { Audit, Clock, Log } from "../core/ports.ts";
import type { Tokens } from "../core/tokens.ts";
import { DAEMON_ITSELF } from "./audit.ts";
import { loadOrCreateToken, replaceToken, tokenAgeMs } from "./token.ts";

export interface TokenKeeperOptions {
  /** The token file. */
  readonly path: string;
  readonly uid: number | null;
  /** What the file holds. */
  readonly token: string;
  readonly tokens: Tokens;
  readonly clock: Clock;
  readonly log: Log;
  readonly audit: Audit;
  /** `tokens` of the configuration, as it is now. */
  readonly settings: () => { readonly rotation_days: number; readonly rotation_grace_secs: number };
  /** Ends the connections of tokens that are no longer valid. */
  readonly endRevoked: () => void;
}

/** The answer to `token.rotate`. */
export interface Rotated {
  readonly token: string;
  /** Epoch milliseconds. */
  readonly old_valid_until: number;
}

const DAY_MS = 86_400_000;
/** The longest timer is shorter than some lives. */
const LONGEST_WAIT_MS = DAY_MS;

/** What one daemon does about its tokens as time passes. */
export class TokenKeeper {
  readonly #options: TokenKeeperOptions;
  #token: string;
  /** For the next end of a token that is valid now. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(options: TokenKeeperOptions) {
    this.#options = options;
    this.#token = options.token;
    options.tokens.onChanged = () => this.#awaitEnd();
    this.#awaitEnd();
  }

  /** The owner token that is valid now. */
  get token(): string {
    return this.#token;
  }

  /**
   * Takes the token file as it is now, and makes a missing one; no token that was replaced is taken any longer.
   *
   * @returns Whether it is another token.
   * @throws PosternError When the file holds no token or is not ours; then the one before goes on.
   */
  async reload(): Promise<boolean> {
    const { path, uid, tokens, endRevoked, log } = this.#options;
    const before = this.#token;
    try {
      this.#token = await loadOrCreateToken(path, uid);
    } catch (error) {
      const { code, message } = refusalOf(error);
      this.#note("token.reload", code);
      throw new PosternError(code, `${message}; the owner token from before is still valid`);
    }
    tokens.replaceOwner(this.#token);
    endRevoked();
    const isAnother = this.#token !== before;
    if (isAnother) {
      log.info("took another owner token from its file");
      this.#note("token.reload", "ok");
    }
    return isAnother;
  }

  /**
   * Replaces the owner token; the one before is taken for `tokens.rotation_grace_secs`.
   *
   * @throws PosternError `storage_full`, `permission_denied`; then nothing has changed. Where the file lies only the
   * log says.
   */
  rotate(): Rotated {
    try {
      return this.#replace();
    } catch (error) {
      const { code, message } = refusalOf(error);
      this.#options.log.error("cannot rotate the owner token", { reason: message });
      throw new PosternError(
        code,
        "writing the token: its file cannot be replaced; the log says why",
      );
    }
  }

  #replace(): Rotated {
    const { path, uid, tokens, clock, log, settings, endRevoked } = this.#options;
    const graceMs = settings().rotation_grace_secs * 1000;
    const { token, doubt } = replaceToken(path, uid);
    this.#token = token;
    // Taken before, so that the old one is valid for no less than is told.
    const old_valid_until = clock.now() + graceMs;
    tokens.replaceOwner(this.#token, graceMs);
    endRevoked();
    if (doubt === null) {
      log.info("rotated the owner token", { grace_ms: graceMs });
    } else {
      const what = "rotated the owner token, which may not outlive a loss of power";
      log.warn(what, { reason: doubt });
    }
    return { token: this.#token, old_valid_until };
  }

  /** With `tokens.rotation_days`: replaces the owner token once its file is that old. Never throws. */
  rotateWhenOld(): void {
    const { path, clock, log, settings } = this.#options;
    const days = settings().rotation_days;
    try {
      if (days === 0 || tokenAgeMs(path, clock.now()) < days * DAY_MS) return;
      this.#replace();
      this.#note("token.rotate", "ok");
    } catch (error) {
      // It is tried again with the next look; until then the old one goes on.
      const reason = error instanceof Error ? error.message : String(error);
      log.error("cannot rotate the owner token", { reason });
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #note(op: string, outcome: string): void {
    this.#options.audit.note({ op, outcome, ...DAEMON_ITSELF });
  }

  #awaitEnd(): void {
    clearTimeout(this.#timer);
    const { tokens, clock, endRevoked } = this.#options;
    const endMs = tokens.nextEndMs;
    if (endMs === null || this.#closed) return;
    const delayMs = Math.min(Math.max(1, endMs - clock.now()), LONGEST_WAIT_MS);
    this.#timer = setTimeout(() => {
      endRevoked();
      this.#awaitEnd();
    }, delayMs);
  }
}

/** What the file system refuses, such as to make the file anew, is a refusal like the others. */
function refusalOf(error: unknown): PosternError {
  if (error instanceof PosternError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new PosternError("storage_full", `reading the token: it cannot be read or made: ${why}`);
}
