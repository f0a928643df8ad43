/** What the program loads when it runs: its own files and its packages, as deno's module graph tells. */

import { fromFileUrl, relative } from "@std/path/posix";
import { ROOT } from "../daemon_process.ts";
import { failure, type RunDeno } from "./command.ts";

/** What the program loads. */
export interface Needed {
  /** Its own files, from the repository's root. */
  readonly files: readonly string[];
  /** Names of npm packages. */
  readonly packages: readonly string[];
}

interface ModuleGraph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly { readonly code?: { readonly specifier?: string } }[];
  }[];
  readonly npmPackages: Readonly<Record<string, { readonly name: string }>>;
}

/** Everything that is loaded at run time from these entries on; types are not. */
export async function neededByProgram(
  entries: readonly string[],
  run: RunDeno,
): Promise<Needed> {
  const graphs = await Promise.all(entries.map((entry) => moduleGraph(entry, run)));
  const files = new Set(graphs.flatMap(loadedFiles).concat(entries));
  const packages = graphs.flatMap((it) => Object.values(it.npmPackages).map(({ name }) => name));
  return { files: [...files].sort(), packages: [...new Set(packages)].sort() };
}

async function moduleGraph(entry: string, run: RunDeno): Promise<ModuleGraph> {
  const finished = await run(["info", "--json", "--no-remote", entry]);
  if (!finished.success) throw failure(`reading the module graph of ${entry} failed`, finished);
  return JSON.parse(finished.stdout);
}

/** A file that is imported as a type only is in the graph, but no code leads to it. */
function loadedFiles({ modules }: ModuleGraph): string[] {
  return modules
    .flatMap(({ dependencies = [] }) => dependencies.map(({ code }) => code?.specifier ?? ""))
    .filter((specifier) => specifier.startsWith("file:"))
    .map((specifier) => relative(ROOT, fromFileUrl(specifier)));
}
