/**
 * From the command line to an exit code. Nothing that goes wrong leaves here as an exception.
 */

import { findTarget } from "../client/discovery.ts";
import { ConnectionError, PosternError } from "../client/errors.ts";
import { programCall } from "../client/spawn.ts";
import type { Command } from "./command.ts";
import { COMMAND_NAMES, loadCommand, splitCommandLine } from "./commands.ts";
import { EXIT, exitCodeOf, UsageError } from "./exit_codes.ts";
import { commandHelp, overview } from "./help.ts";
import { Output, OutputClosed, printable } from "./output.ts";
import { parseCommandLine, Values } from "./values.ts";

/**
 * Runs one command line.
 *
 * @param argv The arguments behind the program's name.
 * @param out Where to print.
 * @returns The exit code: 0 ok, 1 failed, 2 usage, 3 no daemon, 4 not allowed.
 */
export async function runCommandLine(
  argv: readonly string[],
  out: Output = new Output(),
): Promise<number> {
  try {
    return await run(argv, out);
  } catch (error) {
    if (error instanceof OutputClosed) return EXIT.ok;
    await complain(out, error);
    return exitCodeOf(error);
  }
}

async function run(argv: readonly string[], out: Output): Promise<number> {
  const { name, rest } = splitCommandLine(argv);
  out.json = beforeDashes(rest).includes("--json");
  if (name === null) return await withoutCommand(rest, out);
  if (name === "help") return await runHelp(rest, out);
  const command = await loadCommand(name);
  const { args, values } = inCommand(command, rest);
  if (values.flag("help")) {
    await out.line(commandHelp(command));
    return EXIT.ok;
  }
  return await runOne(command, { args, values, out });
}

async function runOne(
  command: Command,
  context: { args: string[]; values: Values; out: Output },
): Promise<number> {
  try {
    return await command.run(context);
  } catch (error) {
    if (error instanceof UsageError) throw withHint(error, command, context.args);
    throw await advised(error, context.values);
  }
}

async function withoutCommand(rest: readonly string[], out: Output): Promise<number> {
  if (rest.some(isVersion)) {
    return await run(["version", ...rest.filter((arg) => !isVersion(arg))], out);
  }
  if (!rest.includes("--help") && !rest.includes("-h")) {
    throw new UsageError("which command? See: postern --help");
  }
  return await runHelp([], out);
}

async function runHelp(names: readonly string[], out: Output): Promise<number> {
  const wanted = names.filter((name) => !name.startsWith("-"));
  const commands = await Promise.all((wanted.length ? wanted : COMMAND_NAMES).map(loadCommand));
  await out.line(wanted.length ? commands.map(commandHelp).join("\n\n") : overview(commands));
  return EXIT.ok;
}

function inCommand(command: Command, rest: string[]): { args: string[]; values: Values } {
  try {
    return parseCommandLine(command, rest);
  } catch (error) {
    throw error instanceof UsageError ? withHint(error, command, rest) : error;
  }
}

/** Forms of a command that can be told in one line. */
const TOLD_FORMS = 2;

/** The error with the form of the command that was probably meant; else with all there are, or where they are told. */
function withHint(error: UsageError, { name, usage }: Command, given: string[]): UsageError {
  const meant = usage.find((form) => given.includes(form.split(" ", 1)[0]!));
  const forms = meant === undefined ? usage : [meant];
  const hint = forms.length > TOLD_FORMS
    ? `see: postern ${name} --help`
    : `usage: ${forms.map((form) => `postern ${name} ${form}`.trimEnd()).join(" or ")}`;
  return new UsageError(`${name}: ${error.message}; ${hint}`);
}

/** A missing daemon is told in one line, with the way to start it. */
async function advised(error: unknown, values: Values): Promise<unknown> {
  if (!(error instanceof ConnectionError) || !error.noDaemon) return error;
  const dir = values.text("dir");
  const program = programCall();
  const start = dir === undefined ? `${program} start` : `${program} start --dir ${quoted(dir)}`;
  const left = await leftBehind(dir);
  const message = `no daemon: ${error.message}${left}; start it with: ${start}`;
  return new ConnectionError(error.code, message);
}

/** An orderly stop takes the discovery file away: whoever left it did not say farewell. */
async function leftBehind(dir: string | undefined): Promise<string> {
  try {
    const { directory, discovery: left } = findTarget(dir === undefined ? {} : { dir });
    const { isUnlocked } = await import("../client/autostart.ts");
    // Who holds the lock is starting or stopping.
    if (left === null || !isUnlocked(directory)) return "";
    const since = left.startedAt === null ? "" : `, started ${left.startedAt}`;
    return `; the last one (pid ${left.pid ?? "unknown"}${since}) did not stop in order, see: ` +
      `${programCall()} logs${dir === undefined ? "" : ` --dir ${quoted(dir)}`}`;
  } catch {
    // What cannot be read is no reason to hide that there is no daemon.
    return "";
  }
}

function quoted(path: string): string {
  return /^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

async function complain(out: Output, error: unknown): Promise<void> {
  const message = error instanceof Error ? error.message : String(error);
  await out.note(
    out.json
      ? JSON.stringify({ error: { code: codeOf(error), message } })
      : `postern: ${message.split("\n").map(printable).join("\n")}`,
  );
}

function codeOf(error: unknown): string {
  if (error instanceof UsageError) return "usage";
  return error instanceof PosternError || error instanceof ConnectionError ? error.code : "failed";
}

function beforeDashes(args: readonly string[]): readonly string[] {
  const end = args.indexOf("--");
  return end < 0 ? args : args.slice(0, end);
}

function isVersion(arg: string): boolean {
  return arg === "--version" || arg === "-V";
}
