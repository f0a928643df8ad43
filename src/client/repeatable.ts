/**
 * Which requests may be sent a second time without doing anything twice.
 *
 * Only those whose sender has said so: sends that carry a `dedup_key`, each message of a batch one of its own. To set
 * a record is none of them: between the two, another program may have set it, and would be overwritten by what is older.
 */

const SENDS: ReadonlySet<string> = new Set(["send", "event.send"]);

/** Whether the daemon will carry out these parameters once, however often they come. */
export function isRepeatable(operation: string, params: object | string): boolean {
  if (!SENDS.has(operation)) return false;
  if (typeof params !== "string") return hasKeys(params);
  return params.includes('"dedup_key"') && hasKeys(JSON.parse(params));
}

function hasKeys(params: { dedup_key?: unknown; events?: unknown }): boolean {
  const { events } = params;
  return Array.isArray(events) ? events.every(hasKey) : hasKey(params);
}

function hasKey({ dedup_key }: { dedup_key?: unknown }): boolean {
  return typeof dedup_key === "string";
}
