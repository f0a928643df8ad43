/** The manual page, in roff with the `man` macros, made from the commands' entries. */

import { type Command, COMMON_OPTIONS, type Option } from "./command.ts";

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["POSTERN_DIR", "The daemon's directory, where --dir is not given."],
  ["POSTERN_SOCKET_PATH", "The socket."],
  ["POSTERN_TOKEN_FILE", "The file that holds the token."],
  ["POSTERN_DAEMON_ENABLED, POSTERN_AUTO_START, POSTERN_IDLE_TIMEOUT", "Win over config.jsonc."],
  ["XDG_STATE_HOME", "Where programs keep their state; ~/.local/state without it."],
  ["NO_COLOR", "No colour."],
];

const FILES: readonly (readonly [string, string])[] = [
  ["config.jsonc", "The configuration, optional; postern init writes one to edit."],
  ["postern.sock", "The socket."],
  ["ipc-token", "The token that gives every right."],
  ["daemon.json", "Where the running daemon listens."],
  ["events.kv", "The log."],
  ["log/daemon.log", "What the daemon says; postern logs shows it."],
];

const EXIT_CODES: readonly (readonly [string, string])[] = [
  ["0", "Done."],
  ["1", "It failed."],
  ["2", "The command line cannot be understood."],
  ["3", "No daemon runs."],
  ["4", "The daemon, or the system, refuses; what postern ask asks for is not approved."],
  ["75, 76", "postern with-lease: somebody else holds the lease; the lease was lost."],
  ["126, 127", "postern with-lease: the program cannot be run, or is not there."],
  [
    "130, 143",
    "A command that waits was ended by Ctrl-C, or by SIGTERM; a turn was cancelled (130).",
  ],
];

/** The page. */
export function manualPage(commands: readonly Command[], version: string): string {
  return [
    `.TH POSTERN 1 "" ${argument(`Postern ${version}`)} "User Commands"`,
    ".SH NAME",
    "postern \\- messages between the programs of one machine, kept until they are read",
    ".SH SYNOPSIS",
    ".B postern",
    "\\fIcommand\\fR [\\fIarguments\\fR] [\\fIoptions\\fR]",
    ".SH DESCRIPTION",
    ...prose([
      "Postern is a daemon for one machine. Programs send it messages over a Unix socket; what it",
      "acknowledged is on disk. A consumer has a name and a durable cursor and goes on where it",
      "left off. What retention drops shows as a gap.",
    ]),
    ".SH COMMANDS",
    ...commands.flatMap(commandSection),
    ".SH OPTIONS OF EVERY COMMAND",
    ...COMMON_OPTIONS.flatMap(optionEntry),
    ".SH ENVIRONMENT",
    ...entries(ENVIRONMENT),
    ".SH FILES",
    ...prose(["In the daemon's directory, which postern path prints:"]),
    ...entries(FILES),
    ".SH EXIT STATUS",
    ...entries(EXIT_CODES),
    "",
  ].join("\n");
}

function commandSection(command: Command): string[] {
  const { name, usage, summary, details = [], options, examples } = command;
  return [
    `.SS ${argument(name)}`,
    ".nf",
    ...usage.map((form) => `\\fBpostern ${escaped(name)}\\fR ${escaped(form)}`.trimEnd()),
    ".fi",
    ".PP",
    ...prose([summary, ...details]),
    ...options.flatMap(optionEntry),
    ".PP",
    examples.length === 1 ? "Example:" : "Examples:",
    ".PP",
    ".RS 4",
    ".nf",
    ...examples.map((example) => escaped(`postern ${example}`)),
    ".fi",
    ".RE",
  ];
}

function optionEntry({ name, short, value, help }: Option): string[] {
  const before = short === undefined ? "" : `\\fB\\-${escaped(short)}\\fR, `;
  const behind = value === undefined ? "" : ` \\fI${escaped(value)}\\fR`;
  return [".TP", `${before}\\fB\\-\\-${escaped(name)}\\fR${behind}`, ...prose([help])];
}

function entries(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([name, text]) => [".TP", `\\fB${escaped(name)}\\fR`, ...prose([text])]);
}

/** Lines that flow; one that begins like a request is made text. */
function prose(lines: readonly string[]): string[] {
  return lines.map(escaped);
}

function argument(text: string): string {
  return `"${escaped(text).replaceAll('"', "\\(dq")}"`;
}

/** Text as it shall be read, with the plain ASCII characters that people copy. */
function escaped(text: string): string {
  const special: Record<string, string> = {
    "\\": "\\e",
    "-": "\\-",
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
  };
  return text.replaceAll(/[\\\-'`^~]/g, (char) => special[char]!).replace(/^\./, "\\&.");
}
