/**
 * The layers of the source tree and what each may use. Arrows point down only.
 *
 * The one table from which the check and the printed map are made. A folder without a row is an error,
 * so a new layer begins here.
 */

/** What one layer may import from another: anything, or only types, or only named files. */
export interface Arrow {
  readonly layer: string;
  /** Only `import type`: nothing of it is loaded at run time. */
  readonly typesOnly?: boolean;
  /** Only these files, by name within the layer. */
  readonly files?: readonly string[];
}

/** One layer: where it lives, what it may import, and which globals it must not touch. */
export interface Layer {
  readonly name: string;
  /** A folder ending in `/`, or one file. The longest match wins. */
  readonly path: string;
  readonly about: string;
  readonly uses: readonly Arrow[];
  /** Names in the import map, a trailing `/` meaning everything below. */
  readonly packages: readonly string[];
  /** Globals that break what the layer promises, each with the reason that the message gives. */
  readonly forbidden: readonly Forbidden[];
}

/** A global that a layer must not use. */
export interface Forbidden {
  readonly pattern: RegExp;
  readonly name: string;
  readonly reason: string;
  /** The one file that may, because it is about the thing itself. */
  readonly except?: string;
}

const DENO: Forbidden = global("Deno.", "it does no I/O");
const NO_EXIT: Forbidden = {
  pattern: /\bDeno\.exit\s*\(/g,
  name: "Deno.exit",
  reason: "only main.ts ends the process",
};
const NO_KV: Forbidden = {
  pattern: /\bDeno\.openKv\b/g,
  name: "Deno.openKv",
  reason: "only src/store knows the database",
  except: "src/daemon/ungated.ts",
};
const CORE_GLOBALS: readonly Forbidden[] = [
  global("Deno.", "it does not know the platform"),
  global("JSON.", "it does not know how anything is written"),
  global("Date.", "the time comes through the Clock port"),
  ...["setTimeout", "setInterval"].map((name) => call(name, "it has no timers of its own")),
  ...["performance.", "console.", "crypto."].map((name) =>
    global(name, "it is told, it does not ask")
  ),
  call("fetch", "it does no I/O"),
];

/** The layers, from the top. */
export const LAYERS: readonly Layer[] = [
  {
    name: "main",
    path: "main.ts",
    about: "argv to the command line; the only Deno.exit",
    uses: [{ layer: "cli" }],
    packages: [],
    forbidden: [NO_KV],
  },
  {
    name: "cli",
    path: "src/cli/",
    about: "one file per command",
    uses: [{ layer: "client" }, { layer: "daemon" }],
    packages: ["@std/"],
    forbidden: [NO_EXIT, NO_KV],
  },
  {
    name: "library",
    path: "src/mod.ts",
    about: "everything for a program",
    uses: [{ layer: "client" }, { layer: "daemon" }],
    packages: [],
    forbidden: [NO_EXIT, NO_KV],
  },
  {
    name: "embed",
    path: "src/embed/",
    about: "a daemon in the program's own process, and its records",
    uses: [
      { layer: "daemon" },
      { layer: "client", files: ["records.ts", "watch.ts"] },
      { layer: "server", files: ["connection_count.ts"] },
      { layer: "codecs", files: ["json.ts"] },
      { layer: "operations", files: ["params.ts"] },
      { layer: "core", typesOnly: true },
    ],
    packages: ["@std/", "zod"],
    forbidden: [NO_EXIT, NO_KV],
  },
  {
    name: "client",
    path: "src/client/",
    about: "connect, Client, transports, autostart",
    uses: [{ layer: "codecs" }, { layer: "operations", typesOnly: true }],
    packages: ["@std/"],
    forbidden: [NO_EXIT, NO_KV],
  },
  {
    name: "daemon",
    path: "src/daemon/",
    about: "directory, lock, config, sandbox, signals, run and close",
    uses: [{ layer: "server" }, { layer: "store" }, { layer: "operations" }, { layer: "core" }],
    // The platform's own hashes are asynchronous, or take all at once.
    packages: ["@std/", "@logtape/", "zod"],
    forbidden: [NO_EXIT, NO_KV],
  },
  {
    name: "server",
    path: "src/server/",
    about: "connections: read, decode, invoke, encode, outbox",
    uses: [{ layer: "codecs" }, { layer: "operations" }, { layer: "core" }],
    packages: [],
    forbidden: [NO_EXIT, NO_KV],
  },
  {
    name: "codecs",
    path: "src/codecs/",
    about: "text in, text out: framing, dialects, error codes",
    uses: [{ layer: "operations", typesOnly: true }, { layer: "core", typesOnly: true }],
    packages: [],
    forbidden: [DENO],
  },
  {
    name: "operations",
    path: "src/operations/",
    about: "the registry: name, schemas, scope, handler",
    uses: [{ layer: "core" }],
    packages: ["zod"],
    forbidden: [DENO],
  },
  {
    name: "store",
    path: "src/store/",
    about: "Deno KV behind the ports of core",
    uses: [{ layer: "core", files: ["ports.ts", "event.ts"] }],
    packages: [],
    forbidden: [NO_EXIT],
  },
  {
    name: "core",
    path: "src/core/",
    about: "what the daemon means: log, consumers, limits",
    uses: [],
    packages: [],
    forbidden: CORE_GLOBALS,
  },
];

/** What every layer may use: the errors, the kinds, the sizes of text, and the version. They import nothing. */
export const SHARED_FILES: readonly string[] = [
  "src/core/errors.ts",
  "src/core/kinds.ts",
  "src/core/text.ts",
  "src/core/topics.ts",
  "src/core/version.ts",
];

/** The layer that a file belongs to, by its path from the root; `undefined` if it has none. */
export function layerOf(path: string): Layer | undefined {
  return LAYERS.find((layer) =>
    layer.path.endsWith("/") ? path.startsWith(layer.path) : path === layer.path
  );
}

function global(name: string, reason: string): Forbidden {
  return { name, reason, pattern: new RegExp(`(?<![.\\w$])${name.replace(".", "\\.")}`, "g") };
}

function call(name: string, reason: string): Forbidden {
  return { name, reason, pattern: new RegExp(`(?<![.\\w$])${name}\\s*\\(`, "g") };
}
