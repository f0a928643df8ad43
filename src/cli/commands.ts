/**
 * Every command there is, in the order in which the overview tells them.
 *
 * A command's file is loaded when it is used, so that none pays for the others.
 */

import { shown } from "../client/errors.ts";
import type { Command } from "./command.ts";
import { UsageError } from "./exit_codes.ts";
import { suggestion } from "./suggestion.ts";

type Loader = () => Promise<{ readonly command: Command }>;

const COMMANDS: Readonly<Record<string, Loader>> = {
  start: () => import("./commands/start.ts"),
  stop: () => import("./commands/stop.ts"),
  restart: () => import("./commands/restart.ts"),
  status: () => import("./commands/status.ts"),
  daemon: () => import("./commands/daemon.ts"),
  send: () => import("./commands/send.ts"),
  inbox: () => import("./commands/inbox.ts"),
  ack: () => import("./commands/ack.ts"),
  tail: () => import("./commands/tail.ts"),
  consumers: () => import("./commands/consumers.ts"),
  record: () => import("./commands/record.ts"),
  chat: () => import("./commands/chat.ts"),
  run: () => import("./commands/run.ts"),
  "with-lease": () => import("./commands/with_lease.ts"),
  blob: () => import("./commands/blob.ts"),
  ask: () => import("./commands/ask.ts"),
  approvals: () => import("./commands/approvals.ts"),
  call: () => import("./commands/call.ts"),
  whoami: () => import("./commands/whoami.ts"),
  clients: () => import("./commands/clients.ts"),
  peers: () => import("./commands/peers.ts"),
  ps: () => import("./commands/ps.ts"),
  logs: () => import("./commands/logs.ts"),
  token: () => import("./commands/token.ts"),
  audit: () => import("./commands/audit.ts"),
  metrics: () => import("./commands/metrics.ts"),
  init: () => import("./commands/init.ts"),
  config: () => import("./commands/config.ts"),
  path: () => import("./commands/path.ts"),
  completions: () => import("./commands/completions.ts"),
  man: () => import("./commands/man.ts"),
  version: () => import("./commands/version.ts"),
};

/** What this program starts itself: in no list and no help. */
const INTERNAL: Readonly<Record<string, Loader>> = {
  "run-turns": () => import("./commands/run_turns.ts"),
};

/** Commands that may also be written behind `daemon`. */
const BEHIND_DAEMON: ReadonlySet<string> = new Set(["start", "stop", "status", "restart"]);

/** The names of all commands. */
export const COMMAND_NAMES: readonly string[] = Object.keys(COMMANDS);

/** @throws {UsageError} when there is no such command */
export async function loadCommand(name: string): Promise<Command> {
  if (Object.hasOwn(INTERNAL, name)) return (await INTERNAL[name]!()).command;
  if (!Object.hasOwn(COMMANDS, name)) {
    const meant = suggestion(name, [...COMMAND_NAMES, "help"]);
    throw new UsageError(`there is no command ${shown(name)}${meant}; see: postern --help`);
  }
  return (await COMMANDS[name]!()).command;
}

/** Splits a command line into the command's name and what is meant for it; options may come first. */
export function splitCommandLine(argv: readonly string[]): { name: string | null; rest: string[] } {
  let at = 0;
  while (at < argv.length && argv[at]!.startsWith("-") && argv[at] !== "--") {
    at += argv[at] === "--dir" ? 2 : 1;
  }
  const name = argv[at] ?? null;
  const rest = [...argv.slice(0, at), ...argv.slice(at + 1)];
  const next = rest[at];
  if (name === "daemon" && next !== undefined && BEHIND_DAEMON.has(next)) {
    return { name: next, rest: rest.toSpliced(at, 1) };
  }
  return { name, rest };
}
