/**
 * The daemon's log for people: `log/daemon.log`, through LogTape, rotated by size.
 *
 * LogTape keeps its configuration for a whole thread, so a thread has one log at a time; opening another while
 * one is open is refused. Everything that parts of the daemon or its libraries log arrives in the one file.
 */

import { configureSync, getLogger, type LogRecord, resetSync } from "@logtape/logtape";
import { join } from "@std/path/posix";
import { PosternError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { Config } from "./config.ts";
import { type Level, logLine } from "./log_line.ts";
import { RotatingFile } from "./rotating_file.ts";

/** The log of a running daemon. */
export interface OpenLog extends Log {
  /** Takes another level and other bounds at once. */
  configure(settings: Config["log"]): void;
  close(): Promise<void>;
}

const LEVELS: Readonly<Record<LogRecord["level"], Level>> = {
  trace: "debug",
  debug: "debug",
  info: "info",
  warning: "warn",
  error: "error",
  fatal: "error",
};

let isOpen = false;

/**
 * Opens `log/daemon.log` in a directory.
 *
 * @param directory The runtime directory, prepared.
 * @param settings The section `log` of the configuration.
 * @param uid The user the files must belong to; `null` asks for none.
 * @returns The log; lines below its level cost nothing.
 * @throws {PosternError} `permission_denied` when the file is not ours, `conflict` when a log is open already.
 */
export function openLog(
  directory: string,
  settings: Config["log"],
  uid: number | null = null,
): Promise<OpenLog> {
  return Promise.try(() => open(directory, settings, uid));
}

function open(directory: string, settings: Config["log"], uid: number | null): OpenLog {
  if (isOpen) throw new PosternError("conflict", "opening the log: a log is open in this thread");
  const file = new RotatingFile(join(directory, "log", "daemon.log"), rotationOf(settings, uid));
  connect(file, settings);
  isOpen = true;
  const logger = getLogger("postern");
  return {
    debug: (message, fields) => logger.debug(message, fields),
    info: (message, fields) => logger.info(message, fields),
    warn: (message, fields) => logger.warn(message, fields),
    error: (message, fields) => logger.error(message, fields),
    configure: (next) => {
      file.configure(rotationOf(next, uid));
      connect(file, next);
    },
    close: () => Promise.try(() => close(file)),
  };
}

function connect(file: RotatingFile, settings: Config["log"]): void {
  const lowestLevel = settings.level === "warn" ? "warning" : settings.level;
  configureSync({
    reset: true,
    sinks: { file: (record) => file.append(lineOf(record)) },
    loggers: [
      { category: "postern", sinks: ["file"], lowestLevel },
      { category: ["logtape", "meta"], sinks: ["file"], lowestLevel: "warning" },
    ],
  });
}

function close(file: RotatingFile): void {
  resetSync();
  file.close();
  isOpen = false;
}

function lineOf(record: LogRecord): string {
  // The message as it was given: braces in it are text, not a template.
  const message = typeof record.rawMessage === "string"
    ? record.rawMessage
    : record.message.join("");
  return logLine({
    level: LEVELS[record.level],
    message,
    fields: record.properties,
    atMs: record.timestamp,
  });
}

function rotationOf(settings: Config["log"], uid: number | null) {
  // The launcher writes into it, through a handle that it opened while it had the right to.
  return { maxBytes: settings.max_bytes, files: settings.files, uid, isShared: true };
}
