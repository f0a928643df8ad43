/** Where each effective setting comes from: the default, the file, or a variable of the environment. */

import { DEFAULTS } from "../daemon/config_defaults.ts";
import { VARIABLES } from "../daemon/settings.ts";

const VARIABLE_OF: Readonly<Record<string, string>> = VARIABLES;

/** One setting as it holds. */
export interface Setting {
  readonly key: string;
  readonly value: unknown;
  /** `default`, `config.jsonc`, or the variable's name. */
  readonly source: string;
}

/** A setting's dotted name and value, for each one. */
export function flattened(settings: object, prefix = ""): [string, unknown][] {
  return Object.entries(settings).flatMap(([key, value]): [string, unknown][] => {
    return isSection(value) ? flattened(value, `${prefix}${key}.`) : [[prefix + key, value]];
  });
}

/** Whether a value holds further settings; a list is a value. */
export function isSection(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Every setting in the order of the defaults. `file` and `overrides` are what was written there. */
export function withSources(
  config: object,
  { file, overrides }: { file: object; overrides: object },
): Setting[] {
  const values = new Map(flattened(config));
  const inFile = new Map(flattened(file));
  const overridden = new Map(flattened(overrides));
  return flattened(DEFAULTS).map(([key]) => {
    const variable = overridden.has(key) ? VARIABLE_OF[key] ?? "environment" : null;
    const source = variable ?? (inFile.has(key) ? "config.jsonc" : "default");
    return { key, value: values.get(key), source };
  });
}
