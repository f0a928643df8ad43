/**
 * What the launcher and its Worker say to each other. All of it is plain data: it crosses a thread boundary.
 *
 * The order: Worker `ready`, launcher `go`, Worker `started` or `failed`, then `beat`s, `stop` and `reload`, and
 * at last `stopped`. The Worker touches nothing of the machine before `go`.
 */

import type { Config } from "./config.ts";
import type { HostFacts } from "./daemon.ts";
import type { Overrides } from "./settings.ts";

/** How a daemon was started. */
export type Mode = "foreground" | "background";

/** All that the Worker needs to know and may not find out by itself. */
export interface GoMessage {
  readonly type: "go";
  readonly directory: string;
  readonly socketPath: string;
  readonly httpSocketPath: string;
  /** A directory outside that was made for the sockets and goes away with them. */
  readonly socketDirectory: string | null;
  readonly host: HostFacts;
  readonly mode: Mode;
  /** The launcher had no room for `daemon.pid`: the Worker writes it. */
  readonly lacksPid: boolean;
  readonly config: Config;
  readonly overrides: Overrides;
  /** How often to say that the Worker's thread still runs. */
  readonly beatMs: number;
  /** The log's epoch in the daemon that did not stop in order, if there was one. */
  readonly previousEpoch: string | null;
}

/** To the Worker. */
export type ToWorker =
  | GoMessage
  | { readonly type: "stop"; readonly reason: string }
  | { readonly type: "reload" };

/** From the Worker. */
export type FromWorker =
  | { readonly type: "ready" }
  | { readonly type: "beat" }
  | {
    readonly type: "started";
    /** What the log was told while starting that whoever starts the daemon should see. */
    readonly notices: readonly string[];
  }
  | { readonly type: "failed"; readonly message: string; readonly detail: string | null }
  | { readonly type: "reloaded"; readonly outcome: string }
  | { readonly type: "stopped"; readonly reason: string };
