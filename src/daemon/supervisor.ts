/**
 * The launcher's life after it has given up its rights: signals, the Worker's heartbeat, an exit code.
 *
 * Slow is not dead: silence is counted in ticks of this thread, so that a sleeping laptop, a stopped process or
 * a busy machine, which hold both threads back, count for nothing. Dead is dead: a Worker cannot be stopped nor
 * made anew from here, so whatever goes wrong with it ends the process, and the next start takes over.
 */

import type { LaunchLog } from "./launch_log.ts";
import type { FromWorker, GoMessage, ToWorker } from "./worker_messages.ts";

/** Exit codes of a daemon. */
export const EXIT = {
  /** Stopped in order. */
  stopped: 0,
  /** Did not start; the reason is on stderr and in the log. */
  notStarted: 1,
  /** Ended out of order: the Worker failed, fell silent, or was told to hurry. Nothing acknowledged is lost. */
  failed: 70,
} as const;

/** What the supervisor works with. */
export interface SupervisorOptions {
  readonly worker: Worker;
  readonly go: GoMessage;
  readonly log: LaunchLog;
  /** Says a line to whoever started the daemon. */
  readonly say: (line: string) => void;
  /** Gives up the launcher's rights, and returns what is still granted. */
  readonly giveUpRights: () => Promise<string[]>;
  /** So long may a started Worker be silent. */
  readonly silenceMs: number;
  /** So long may a stop take; the Worker's own bound is shorter. */
  readonly stopMs: number;
}

/** The same signal again this soon is an echo. */
const SAME_SIGNAL_MS = 1000;
/** Silence is measured in so many ticks. */
export const TICKS = 30;
/** Until `ready` the Worker only loads its modules, which a cold disk makes slow; the silence may be longer. */
const LOADING_FACTOR = 10;

/** One Worker and what becomes of it. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #done = Promise.withResolvers<number>();
  readonly #signals: ReadonlyArray<readonly [Deno.Signal, () => void]> = [
    ["SIGTERM", () => this.#stop("SIGTERM")],
    ["SIGINT", () => this.#stop("SIGINT")],
    ["SIGHUP", () => this.#reload()],
  ];
  #phase: "loading" | "starting" | "running" = "loading";
  #stopping: string | null = null;
  #stoppingSinceMs = 0;
  #silentTicks = 0;
  #stopTicks = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Runs until the daemon has ended; the caller then exits with the code. */
  async run(): Promise<number> {
    const { worker, silenceMs } = this.#options;
    worker.onmessage = (event: MessageEvent<FromWorker>) => this.#receive(event.data);
    worker.onmessageerror = () => this.#fail("its Worker sent what cannot be read");
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(`its Worker failed: ${event.message}`, {
        at: `${event.filename}:${event.lineno}`,
      });
    };
    for (const [signal, handler] of this.#signals) Deno.addSignalListener(signal, handler);
    const timer = setInterval(() => this.#tick(), silenceMs / TICKS);
    try {
      return await this.#done.promise;
    } finally {
      clearInterval(timer);
      for (const [signal, handler] of this.#signals) Deno.removeSignalListener(signal, handler);
    }
  }

  #receive(message: FromWorker): void {
    this.#silentTicks = 0;
    switch (message.type) {
      case "ready":
        return void this.#letGo();
      case "started":
        this.#phase = "running";
        for (const notice of message.notices) this.#options.say(notice);
        return this.#sayStarted();
      case "failed":
        this.#options.log.write(
          "error",
          `cannot start: ${message.message}`,
          message.detail === null ? {} : { cause: message.detail },
        );
        this.#options.say(`cannot start: ${message.message}`);
        return this.#done.resolve(EXIT.notStarted);
      case "reloaded":
        return this.#options.say(`SIGHUP: ${message.outcome}`);
      case "stopped":
        this.#options.say(`stopped (${message.reason})`);
        return this.#done.resolve(EXIT.stopped);
    }
  }

  /** The Worker waits; only when nothing is left to this thread may it begin. */
  async #letGo(): Promise<void> {
    if (this.#phase !== "loading") return;
    this.#phase = "starting";
    const kept = await this.#options.giveUpRights().catch((error) => [String(error)]);
    if (kept.length === 0) return this.#tell(this.#options.go);
    const message = `the launcher could not give up its rights: ${kept.join(", ")}`;
    this.#options.log.write("error", `cannot start: ${message}`);
    this.#options.say(`cannot start: ${message}`);
    this.#done.resolve(EXIT.notStarted);
  }

  #tick(): void {
    this.#silentTicks++;
    const { silenceMs, stopMs } = this.#options;
    const allowed = this.#phase === "loading" ? TICKS * LOADING_FACTOR : TICKS;
    if (this.#silentTicks > allowed) {
      const seconds = allowed * silenceMs / TICKS / 1000;
      this.#fail(`its Worker was silent for ${seconds} s`, { phase: this.#phase });
    }
    if (this.#stopping === null) return;
    this.#stopTicks++;
    if (this.#stopTicks * silenceMs / TICKS > stopMs) {
      this.#fail(`it did not stop within ${stopMs / 1000} s of ${this.#stopping}`);
    }
  }

  #stop(signal: string): void {
    if (this.#stopping !== null) {
      // One Ctrl-C comes twice where a program in between hands its own on.
      const isEcho = signal === this.#stopping &&
        performance.now() - this.#stoppingSinceMs < SAME_SIGNAL_MS;
      if (isEcho) return;
      return this.#fail(`${signal} came while it was stopping`);
    }
    this.#stopping = signal;
    this.#stoppingSinceMs = performance.now();
    this.#tell({ type: "stop", reason: signal });
  }

  #reload(): void {
    this.#tell({ type: "reload" });
  }

  #tell(message: ToWorker): void {
    this.#options.worker.postMessage(message);
  }

  #fail(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.#options.log.write("error", `the daemon ends: ${message}`, fields);
    this.#options.say(`the daemon ends: ${message}; nothing that was acknowledged is lost`);
    this.#done.resolve(EXIT.failed);
  }

  #sayStarted(): void {
    const { directory, socketPath, host } = this.#options.go;
    this.#options.say(`ready: pid ${host.pid}, directory ${directory}, socket ${socketPath}`);
  }
}
