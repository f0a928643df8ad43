/**
 * Everything for a program: the client, and the daemon itself to run in-process.
 *
 * @module
 */

export * from "./client/mod.ts";
export { type Daemon, type DaemonOptions, type HostFacts, startDaemon } from "./daemon/daemon.ts";
export { type Config, defaultConfig, parseConfig } from "./daemon/config.ts";
