/**
 * The program: its arguments to the command line. The only place that ends the process.
 *
 * @module
 */

import { runCommandLine } from "./src/cli/run.ts";

if (import.meta.main) Deno.exit(await runCommandLine(Deno.args));
