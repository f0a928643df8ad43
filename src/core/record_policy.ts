/**
 * What remote access may do to records: nothing but read, unless the policy and the record's opt-in allow more.
 *
 * What a connection's scopes allow is another matter and asked elsewhere; both must hold.
 */

import { NamePatterns } from "./filter.ts";
import type { LiveRecord } from "./record.ts";
import { isOwnRecord } from "./records.ts";

export interface RecordPolicySettings {
  readonly policy: "read_only" | "read_write";
  /** Names and patterns of records that are opted in, beside those whose definition says so. */
  readonly writable: readonly string[];
}

/** The policy in force; a reload replaces it. */
export class RecordPolicy {
  #policy: RecordPolicySettings["policy"];
  #optedIn: NamePatterns;

  constructor({ policy, writable }: RecordPolicySettings) {
    this.#policy = policy;
    this.#optedIn = new NamePatterns(writable);
  }

  replace({ policy, writable }: RecordPolicySettings): void {
    this.#policy = policy;
    this.#optedIn = new NamePatterns(writable);
  }

  /** Whether remote access may set anything at all. */
  get allowsWrites(): boolean {
    return this.#policy === "read_write";
  }

  /** Whether a name, or the record of that name, has been opted in to being set remotely; the daemon's own never. */
  isOptedIn(name: string, record: LiveRecord | undefined): boolean {
    if (isOwnRecord(name)) return false;
    return record?.definition.writable === true || this.#optedIn.matches(name);
  }
}
