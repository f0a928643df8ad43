/** `postern config`: is the configuration right, and what holds in the end. Needs no daemon. */

import { join } from "@std/path/posix";
import { shown } from "../../client/errors.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { columns } from "../format.ts";
import { readNamedFile } from "../input.ts";
import { targetOf } from "../session.ts";

/** As much as the daemon reads. */
const MAX_CONFIG_BYTES = 1_048_576;

export const command: Command = {
  name: "config",
  usage: ["check [file]", "show"],
  summary: "Check the configuration, or show what holds and where it comes from.",
  details: [
    "check says what a start would say, of the directory and its config.jsonc or of a file you",
    "name. It makes nothing.",
    "show gives every key: the environment wins over config.jsonc, and that over the default.",
    "A running daemon may still go by what it read at its start.",
  ],
  options: [],
  examples: ["config check", "config check ./config.jsonc", "config show", "config show --json"],
  arguments: [1, 2],
  choices: ["check", "show"],
  async run(context) {
    const [action, file] = context.args;
    if (action === "check") return await check(context, file);
    if (action !== "show") throw new UsageError(`check or show, not ${shown(action)}`);
    if (file !== undefined) throw new UsageError(`unexpected argument ${shown(file)}`);
    return await show(context);
  },
};

async function check(context: Context, file: string | undefined): Promise<number> {
  const path = file === undefined ? await checkOwn(context) : await checkFile(file);
  await context.out.result(
    { ok: true, file: path },
    () => path === null ? "ok: there is no config.jsonc, the defaults hold" : `ok: ${path}`,
  );
  return EXIT.ok;
}

async function checkOwn(context: Context): Promise<string | null> {
  const { checkDirectory } = await import("../directory_check.ts");
  checkDirectory(targetOf(context.values).directory, Deno.uid());
  return (await effectiveConfig(context)).path;
}

async function checkFile(path: string): Promise<string> {
  const { parseConfig } = await import("../../daemon/config.ts");
  parseConfig(readNamedFile(path, MAX_CONFIG_BYTES), path);
  return path;
}

async function show(context: Context): Promise<number> {
  const { withSources } = await import("../config_sources.ts");
  const { config, path, directory, ...written } = await effectiveConfig(context);
  const { overrides, file } = written;
  const settings = withSources(config, { file, overrides: overrides.settings });
  const sources = Object.fromEntries(settings.map(({ key, source }) => [key, source]));
  const { socketPath } = overrides;
  await context.out.result(
    { directory, file: path, socket_path: socketPath, config, sources },
    () =>
      columns([
        ["KEY", "VALUE", "FROM"],
        ...settings.map(({ key, value, source }) => [key, JSON.stringify(value) ?? "-", source]),
        ...(socketPath === null ? [] : [["(socket)", socketPath, "POSTERN_SOCKET_PATH"]]),
      ]),
  );
  return EXIT.ok;
}

/** The configuration of the directory, read by the daemon's own rules. */
export async function effectiveConfig({ values }: Context) {
  const { directory } = targetOf(values);
  const { loadConfig, readOverrides } = await import("../../daemon/settings.ts");
  const { validateConfig } = await import("../../daemon/config.ts");
  const overrides = readOverrides(Deno.env, directory);
  const config = await loadConfig(directory, Deno.uid(), { overrides, validate: validateConfig });
  const path = join(directory, "config.jsonc");
  const text = await readOwn(path);
  const { parseSettings } = await import("../../daemon/config_text.ts");
  const file = text === null ? {} : parseSettings(text, path);
  return { directory, config, overrides, file, path: text === null ? null : path };
}

async function readOwn(path: string): Promise<string | null> {
  const { readOwnFile } = await import("../../daemon/safe_file.ts");
  return readOwnFile(path, { uid: Deno.uid(), mode: 0o644, limit: MAX_CONFIG_BYTES });
}
