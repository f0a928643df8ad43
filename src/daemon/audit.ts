/**
 * `log/audit.jsonl`: who authenticated, and who changed what.
 *
 * Invariants: a line holds an operation, what it came to and who asked, and never a token, a client_id or anything of
 * the parameters, also where a client gives one as a name; each line is a JSON object of the same form, also the one
 * that says how many could not be written. Rotated by size while it is written: a full file is renamed.
 */

import { withoutSecrets } from "../core/errors.ts";
import type { Audit, AuditEntry } from "../core/ports.ts";
import { RotatingFile, type RotatingFileOptions, type RotationOptions } from "./rotating_file.ts";

/** Who does what nobody asked for. */
export const DAEMON_ITSELF = {
  tokenId: null,
  originator: null,
  transport: "in-process",
  onBehalfOf: null,
} as const;

/** Lines of one turn are written together, because each write takes longer than what it is about; no more than this. */
const BATCH_CHARS = 2048;

/** The audit of one daemon. */
export class AuditFile implements Audit {
  readonly #file: RotatingFile;
  #enabled: boolean;
  #batch = "";
  #batchLines = 0;

  constructor(path: string, options: RotatingFileOptions & { readonly enabled: boolean }) {
    this.#file = new RotatingFile(path, { ...options, lostLine });
    this.#enabled = options.enabled;
  }

  note(entry: AuditEntry): void {
    if (!this.#enabled) return;
    if (this.#batchLines === 0) queueMicrotask(() => this.#write());
    this.#batch += lineOf(entry);
    this.#batchLines++;
    if (this.#batch.length >= BATCH_CHARS) this.#write();
  }

  /** Why lines are lost; `undefined` for none. Tries to say in the file how many were. */
  get failure(): unknown {
    this.#file.tellLost();
    return this.#enabled ? this.#file.failure : undefined;
  }

  configure(options: RotationOptions & { readonly enabled: boolean }): void {
    this.#write();
    this.#enabled = options.enabled;
    this.#file.configure(options);
  }

  close(): void {
    this.#write();
    this.#file.close();
  }

  #write(): void {
    const [lines, count] = [this.#batch, this.#batchLines];
    this.#batch = "";
    this.#batchLines = 0;
    if (count > 0) this.#file.append(lines, count);
  }
}

function lineOf(entry: AuditEntry): string {
  const { op, outcome, tokenId, originator, transport, onBehalfOf, count } = entry;
  const line = {
    ts: new Date().toISOString(),
    op,
    outcome,
    token_id: tokenId,
    originator,
    transport,
    // A client's own words.
    ...(onBehalfOf === null ? {} : { on_behalf_of: withoutSecrets(onBehalfOf) }),
    ...(count === undefined ? {} : { count }),
  };
  return `${JSON.stringify(line)}\n`;
}

/** What could not be written while the disk took nothing. */
function lostLine(count: number): string {
  return lineOf({ op: "audit.lost", outcome: "storage_full", ...DAEMON_ITSELF, count });
}
