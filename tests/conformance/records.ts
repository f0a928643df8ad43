/** What scenarios about records do in every dialect. */

import type { Line } from "../support/raw_client.ts";
import type { Outcome, Speaker, Update } from "./dialects.ts";
import { resultOf } from "./scenario.ts";

export async function define(speaker: Speaker, name: string, more: Line = {}): Promise<Line> {
  return resultOf(await speaker.call("record.define", { name, ...more }));
}

export function set(
  speaker: Speaker,
  name: string,
  value: unknown,
  more: Line = {},
): Promise<Outcome> {
  return speaker.call("record.set", { name, value, ...more });
}

export async function get(speaker: Speaker, name: string): Promise<[unknown, number]> {
  const { value, sequence } = resultOf(await speaker.call("record.get", { name }));
  return [value, sequence];
}

export function watch(speaker: Speaker, name: string, more: Line = {}): Promise<Outcome> {
  return speaker.call("record.subscribe", { name, ...more });
}

/** An update as `name sequence=data`. */
export function shown({ name, sequence, data }: Update): string {
  return `${name} ${sequence}=${JSON.stringify(data)}`;
}
