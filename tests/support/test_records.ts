/** Records over a log in memory, and what a test asks of them most. */

import type { BufferType, LiveRecord, RecordUpdate, RecordWatcher } from "../../src/core/record.ts";
import { Records } from "../../src/core/records.ts";
import { openTestLog, type TestLog } from "./test_log.ts";

/** What a test holds of one daemon's records. */
export interface TestRecords extends TestLog {
  readonly records: Records;
}

/** What a definition may say; the rest is as `record.define` has it by default. */
export interface TestDefinition {
  readonly type?: BufferType;
  readonly capacity?: number;
  readonly schema?: string | null;
  readonly writable?: boolean;
  readonly volatile?: boolean;
}

export function openRecords(opened: TestLog = openTestLog()): TestRecords {
  const { log, clock, store } = opened;
  return { ...opened, records: new Records(log, { clock, documents: store.state.documents }) };
}

/** What a daemon finds that starts after this one was killed. */
export function crashed(opened: TestRecords): TestRecords {
  return openRecords(opened.restarted());
}

/** What a daemon finds after this one has stopped in order. */
export async function stopped(opened: TestRecords): Promise<TestRecords> {
  await opened.records.settle();
  await opened.log.drain();
  return crashed(opened);
}

export function definitionOf(name: string, definition: TestDefinition = {}) {
  const { type = "single_latest", capacity = 1, schema = null } = definition;
  const { writable = false, volatile = false } = definition;
  const typeId = `id of ${name} ${schema}`;
  return { name, typeId, bufferType: type, capacity, schema, writable, volatile };
}

export function define(
  { records }: TestRecords,
  name: string,
  definition: TestDefinition = {},
): Promise<LiveRecord> {
  return records.define(definitionOf(name, definition)).promise();
}

/** What a record holds as `sequence=value`, or `null`. */
export function shownLatest({ records }: TestRecords, name: string): string | null {
  const latest = records.latest(records.get("test", name));
  return latest === null ? null : shown(latest);
}

/** A ring's values as `sequence=value`, oldest first. */
export function shownHistory({ records }: TestRecords, name: string, limit = 1e6): string[] {
  return records.get("test", name).history(limit).map(shown);
}

/** An update as `sequence=value`. */
export function shown({ sequence, value }: RecordUpdate): string {
  return `${sequence}=${value}`;
}

/** A watcher that notes what it is told. */
export class NotingWatcher implements RecordWatcher {
  isReady = true;
  readonly told: string[] = [];
  readonly updates: RecordUpdate[] = [];

  tell(update: RecordUpdate): void {
    this.updates.push(update);
    this.told.push(shown(update));
  }
}
