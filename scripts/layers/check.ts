/**
 * Compares the imports of source files with the table of layers.
 *
 * Works on texts that it is given, so that a test can show it a forbidden import without writing one
 * into the tree. Every complaint names the file, the line, what was found and the rule.
 */

import { dirname, join } from "@std/path/posix";
import { type Layer, layerOf, LAYERS, SHARED_FILES } from "./rules.ts";
import { codeOnly, importsOf, type ImportStatement } from "./source_text.ts";

/** A file as the check sees it: its path from the root, with forward slashes, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** The complaints about the files, in their order; none means that every arrow points down. */
export function checkLayers(files: readonly SourceFile[]): string[] {
  return files.flatMap(checkFile);
}

function checkFile({ path, text }: SourceFile): string[] {
  const layer = layerOf(path);
  if (layer === undefined) {
    return [
      `${path}:1: belongs to no layer; every folder of src/ has a row in scripts/layers/rules.ts`,
    ];
  }
  const complaints = importsOf(text).flatMap((statement) => {
    const rule = brokenRule(layer, path, statement);
    return rule === undefined
      ? []
      : [`${path}:${statement.line}: imports "${statement.specifier}": ${rule}`];
  });
  return [...complaints, ...forbiddenGlobals(layer, { path, text })];
}

function brokenRule(layer: Layer, path: string, statement: ImportStatement): string | undefined {
  const { specifier } = statement;
  if (!specifier.startsWith(".")) return brokenPackageRule(layer, specifier);
  const target = join(dirname(path), specifier).replaceAll("\\", "/");
  const other = layerOf(target);
  if (other === layer || SHARED_FILES.includes(target)) return undefined;
  if (other === undefined) return `${target} is in no layer, and src/ uses nothing outside of them`;
  const arrow = layer.uses.find((use) => use.layer === other.name);
  if (arrow === undefined) return `${layer.name} may use ${allowed(layer)}, not ${other.name}`;
  if (arrow.files !== undefined && !arrow.files.includes(target.slice(other.path.length))) {
    return `${layer.name} may use of ${other.name} only ${arrow.files.join(", ")}`;
  }
  if (arrow.typesOnly && !statement.typeOnly) {
    return `${layer.name} may use of ${other.name} only types (import type)`;
  }
  return undefined;
}

function brokenPackageRule(layer: Layer, specifier: string): string | undefined {
  const known = layer.packages.some((name) =>
    name.endsWith("/") ? specifier.startsWith(name) : specifier === name
  );
  if (known) return undefined;
  const list = layer.packages.length === 0 ? "no package" : layer.packages.join(", ");
  return `${layer.name} may use ${list}`;
}

function allowed(layer: Layer): string {
  const names = layer.uses.map(describeArrow);
  return names.length === 0 ? "no other layer" : names.join(", ");
}

function describeArrow(use: Layer["uses"][number]): string {
  if (use.typesOnly) return `${use.layer} (types)`;
  return use.files === undefined ? use.layer : `${use.layer} (${use.files.join(", ")})`;
}

function forbiddenGlobals(layer: Layer, { path, text }: SourceFile): string[] {
  const code = codeOnly(text);
  return layer.forbidden.filter(({ except }) => except !== path).flatMap((
    { pattern, name, reason },
  ) =>
    [...code.matchAll(pattern)].map((match) => {
      const line = code.slice(0, match.index).split("\n").length;
      return `${path}:${line}: uses ${name}: ${layer.name} must not, ${reason}`;
    })
  );
}

/** The layers as a map for people, from the top, each with what it may use. */
export function layerMap(): string {
  return LAYERS.map((layer) => {
    const uses = [...layer.uses.map(describeArrow), ...layer.packages].join(", ") || "nothing";
    return `${layer.path.padEnd(17)} ${layer.about}\n${"".padEnd(17)}   -> ${uses}`;
  }).join("\n");
}
