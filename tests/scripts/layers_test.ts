/** The layer check finds what it is there for, and does not find what it should not. */

import { assertEquals, assertMatch } from "@std/assert";
import { checkLayers } from "../../scripts/layers/check.ts";
import { importsOf } from "../../scripts/layers/source_text.ts";

function complaintsAbout(path: string, text: string): string[] {
  return checkLayers([{ path, text }]);
}

Deno.test("an arrow that points up is found, with file, line, import and rule", () => {
  const text = `/** A file. */\n\nimport { KvStore } from "../store/kv_store.ts";\n`;
  assertEquals(complaintsAbout("src/operations/events.ts", text), [
    'src/operations/events.ts:3: imports "../store/kv_store.ts": operations may use core, not store',
  ]);
});

Deno.test("an arrow that points down is allowed", () => {
  const text = `import { EventLog } from "../core/log.ts";\nimport { z } from "zod";\n`;
  assertEquals(complaintsAbout("src/operations/events.ts", text), []);
});

Deno.test("core may import nothing, not even a package, and use no platform", () => {
  for (
    const text of [
      `import { z } from "zod";`,
      `import { join } from "@std/path/posix";`,
      `import type { Config } from "../daemon/config.ts";`,
      `const now = Date.now();`,
      `const text = JSON.stringify(1);`,
      `setTimeout(() => {}, 1);`,
      `const pid = Deno.pid;`,
    ]
  ) assertEquals(complaintsAbout("src/core/log.ts", text).length, 1, text);
});

Deno.test("the client may use the types of the operations and not their code", () => {
  const types = `import type { Operation } from "../operations/operation.ts";\n`;
  const mixed = `import { type Operation, OPERATIONS } from "../operations/registry.ts";\n`;
  const inline = `import { type Operation, type Scope } from "../operations/registry.ts";\n`;
  assertEquals(complaintsAbout("src/client/mod.ts", types), []);
  assertEquals(complaintsAbout("src/client/mod.ts", inline), []);
  assertMatch(complaintsAbout("src/client/mod.ts", mixed)[0]!, /only types/);
});

Deno.test("the store reaches the ports of core and nothing behind them", () => {
  const ports = `import type { LogStore } from "../core/ports.ts";\n`;
  const log = `import type { EventLog } from "../core/log.ts";\n`;
  assertEquals(complaintsAbout("src/store/kv.ts", ports), []);
  assertMatch(complaintsAbout("src/store/kv.ts", log)[0]!, /only ports\.ts/);
});

Deno.test("only main.ts ends the process", () => {
  assertEquals(complaintsAbout("main.ts", "Deno.exit(1);"), []);
  assertMatch(complaintsAbout("src/cli/run.ts", "Deno.exit(1);")[0]!, /only main\.ts/);
});

Deno.test("a file of src/ outside of every layer is found", () => {
  assertMatch(complaintsAbout("src/helpers/x.ts", "")[0]!, /belongs to no layer/);
});

Deno.test("dynamic imports, re-exports and module URLs count as imports", () => {
  const text = [
    `export * from "./a.ts";`,
    `await import("./b.ts");`,
    `new Worker(new URL("./c.ts", import.meta.url), { type: "module" });`,
    `import "./d.ts";`,
    `import * as e from './e.ts';`,
    `import {\n  f,\n  type G,\n} from "./f.ts";`,
  ].join("\n");
  assertEquals(importsOf(text).map((found) => found.specifier), [
    "./a.ts",
    "./b.ts",
    "./c.ts",
    "./d.ts",
    "./e.ts",
    "./f.ts",
  ]);
});

Deno.test("an import in a comment, a string, a template or a regular expression is none", () => {
  const text = [
    `// import a from "./a.ts";`,
    `/* import b from "./b.ts"; */`,
    `const c = 'import c from "./c.ts"';`,
    'const d = `import d from "./d.ts" ${[1].map((n) => `}${n}`)} import("./d.ts")`;',
    `const e = /["'\`]import\\("x"\\)/;`,
    `import f from "./f.ts";`,
  ].join("\n");
  assertEquals(importsOf(text).map((found) => found.specifier), ["./f.ts"]);
});

Deno.test("a word in a comment or a string is no use of a global", () => {
  const text =
    `/** Deno.open is not called here. */\nconst text = "JSON.parse";\nconst aDenoX = 1;\n`;
  assertEquals(complaintsAbout("src/core/log.ts", text), []);
});
