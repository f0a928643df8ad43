/**
 * `log/audit.jsonl`: who authenticated, and who changed what.
 *
 * Invariant: a line holds an operation, what it came to and who asked, and never a token, a client_id or anything of
 * the parameters. Rotated by size while it is written.
 */

import type { Audit, AuditEntry } from "../core/ports.ts";
import { RotatingFile, type RotatingFileOptions, type RotationOptions } from "./rotating_file.ts";

/** The audit of one daemon. */
export class AuditFile implements Audit {
  readonly #file: RotatingFile;
  #enabled: boolean;

  constructor(path: string, options: RotatingFileOptions & { readonly enabled: boolean }) {
    this.#file = new RotatingFile(path, options);
    this.#enabled = options.enabled;
  }

  note({ op, outcome, tokenId, originator, transport, onBehalfOf }: AuditEntry): void {
    if (!this.#enabled) return;
    const line = {
      ts: new Date().toISOString(),
      op,
      outcome,
      token_id: tokenId,
      originator,
      transport,
      ...(onBehalfOf === null ? {} : { on_behalf_of: onBehalfOf }),
    };
    this.#file.append(`${JSON.stringify(line)}\n`);
  }

  configure(options: RotationOptions & { readonly enabled: boolean }): void {
    this.#enabled = options.enabled;
    this.#file.configure(options);
  }

  close(): void {
    this.#file.close();
  }
}
