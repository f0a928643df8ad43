/**
 * What the audit has of those who are refused: anyone can be, as often as they like, and must not wash out what else
 * the audit and the log hold.
 *
 * Bounds: of each token, and of all who show none, `FEW` lines; from then on one a second of each outcome and
 * transport, with a count, until it was not refused for `QUIET_MS`. `MAX_TOKENS_KEPT` tokens are told apart; beyond,
 * the one is forgotten that was not refused for longest.
 */

import type { Audit, AuditEntry, Clock } from "../core/ports.ts";
import { MAX_TOKENS } from "../core/tokens.ts";

const FEW = 8;
const SECOND_MS = 1000;
const QUIET_MS = 10_000;
/** Every named token, and some that have another source. */
const MAX_TOKENS_KEPT = MAX_TOKENS + 24;
/** Stands for the operations of one line when they are different ones. */
const SEVERAL = "audit.refused";

/** Of one token, or of all who show none. */
interface Refused {
  told: number;
  lastMs: number;
  /** By outcome and transport. */
  readonly counted: Map<string, AuditEntry>;
}

/** The refusals of one daemon. */
export class Refusals {
  /** Called with each line of the audit. */
  onTold: (entry: AuditEntry) => void = () => {};
  readonly #audit: Audit;
  readonly #clock: Clock;
  /** By token; the one that was not refused for longest comes first. */
  readonly #refused = new Map<string | null, Refused>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(audit: Audit, clock: Clock) {
    this.#audit = audit;
    this.#clock = clock;
  }

  note(entry: AuditEntry): void {
    const refused = this.#refusedOf(entry.tokenId);
    const now = this.#clock.now();
    if (now - refused.lastMs > QUIET_MS) refused.told = 0;
    refused.lastMs = now;
    if (refused.told < FEW) {
      refused.told++;
      return this.#tell(entry);
    }
    const { outcome, transport, tokenId } = entry;
    const key = `${outcome} ${transport}`;
    const held = refused.counted.get(key);
    const op = held === undefined || held.op === entry.op ? entry.op : SEVERAL;
    const count = (held?.count ?? 0) + 1;
    const anyOfThem = { tokenId, originator: null, onBehalfOf: null };
    refused.counted.set(key, { op, outcome, transport, ...anyOfThem, count });
    this.#timer ??= setTimeout(() => this.tellCounted(), SECOND_MS);
  }

  /** Tells what was only counted until now; also to be called at the end. */
  tellCounted(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const refused of this.#refused.values()) this.#tellCountedOf(refused);
  }

  #refusedOf(tokenId: string | null): Refused {
    const refused = this.#refused.get(tokenId) ?? { told: 0, lastMs: 0, counted: new Map() };
    this.#refused.delete(tokenId);
    this.#refused.set(tokenId, refused);
    if (this.#refused.size > MAX_TOKENS_KEPT) {
      const [forgotten, of] = this.#refused.entries().next().value!;
      this.#tellCountedOf(of);
      this.#refused.delete(forgotten);
    }
    return refused;
  }

  #tellCountedOf({ counted }: Refused): void {
    for (const entry of counted.values()) this.#tell(entry);
    counted.clear();
  }

  #tell(entry: AuditEntry): void {
    this.#audit.note(entry);
    this.onTold(entry);
  }
}
