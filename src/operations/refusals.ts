/**
 * What the audit has of those who are refused without a valid token: anyone can be, as often as they like, and must not
 * wash out what else the audit and the log hold.
 *
 * Bounds: `FEW` lines; from then on one a second of each outcome and transport, with a count, until nobody was refused
 * for `QUIET_MS`.
 */

import type { Audit, AuditEntry, Clock } from "../core/ports.ts";

const FEW = 8;
const SECOND_MS = 1000;
const QUIET_MS = 10_000;
/** Stands for the operations of one line when they are different ones. */
const SEVERAL = "audit.refused";

/** The refusals of one daemon. */
export class Refusals {
  /** Called with each line of the audit. */
  onTold: (entry: AuditEntry) => void = () => {};
  readonly #audit: Audit;
  readonly #clock: Clock;
  readonly #counted = new Map<string, AuditEntry>();
  #told = 0;
  #lastMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(audit: Audit, clock: Clock) {
    this.#audit = audit;
    this.#clock = clock;
  }

  note(entry: AuditEntry): void {
    const now = this.#clock.now();
    if (now - this.#lastMs > QUIET_MS) this.#told = 0;
    this.#lastMs = now;
    if (this.#told < FEW) {
      this.#told++;
      return this.#tell(entry);
    }
    const { outcome, transport } = entry;
    const key = `${outcome} ${transport}`;
    const held = this.#counted.get(key);
    const op = held === undefined || held.op === entry.op ? entry.op : SEVERAL;
    const count = (held?.count ?? 0) + 1;
    const nobody = { tokenId: null, originator: null, onBehalfOf: null };
    this.#counted.set(key, { op, outcome, transport, ...nobody, count });
    this.#timer ??= setTimeout(() => this.tellCounted(), SECOND_MS);
  }

  /** Tells what was only counted until now; also to be called at the end. */
  tellCounted(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const entry of this.#counted.values()) this.#tell(entry);
    this.#counted.clear();
  }

  #tell(entry: AuditEntry): void {
    this.#audit.note(entry);
    this.onTold(entry);
  }
}
