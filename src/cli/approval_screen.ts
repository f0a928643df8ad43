/**
 * `postern approvals` on a terminal: the list follows what happens, and keys answer.
 *
 * It is the daemon's list, asked for again at each event of a permission, one question at a time. What goes wrong
 * with an answer is shown and ends nothing. When it ends, by whatever way, the terminal is as it was.
 */

import { PosternError } from "../client/errors.ts";
import type { Client } from "../client/mod.ts";
import { listPending, type Pending, permissionEvents } from "./approval_list.ts";
import { ApprovalRows } from "./approval_rows.ts";
import type { Context } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { interruptibleScreen } from "./interrupt.ts";
import { type Key, Keys } from "./keys.ts";
import { LiveScreen, terminalSize } from "./live_screen.ts";
import type { Output } from "./output.ts";
import { withIdentity } from "./session.ts";

/** How long an answer may take. */
const ANSWER_MS = 5000;
const PAGE = 10;

const STEPS: Readonly<Record<string, number>> = {
  up: -1,
  k: -1,
  down: 1,
  j: 1,
  "page up": -PAGE,
  "page down": PAGE,
};

/** Shows the list until the person, or the system, ends it. */
export function chooseApprovals(context: Context): Promise<number> {
  const approvals = new Approvals(context.out);
  const onNotice = ({ type }: { readonly type: string }) => approvals.linkIs(type === "connected");
  return withIdentity(context, { onNotice }, async (client) => {
    await interruptibleScreen(() => approvals.end(), () => approvals.follow(client));
    return EXIT.ok;
  });
}

class Approvals {
  readonly #out: Output;
  readonly #rows: ApprovalRows;
  readonly #stop = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  /** Answers that were taken. */
  readonly #counts = { approved: 0, denied: 0 };
  #client!: Client;
  #screen: LiveScreen | null = null;
  #isListing = false;
  #listAgain = false;
  /** The answer that is on its way. */
  #answering: Promise<void> | null = null;

  constructor(out: Output) {
    this.#out = out;
    this.#rows = new ApprovalRows((text) => out.marked(text));
    this.#ended.promise.catch(() => {});
  }

  /** Runs until {@linkcode end}. */
  async follow(client: Client): Promise<void> {
    this.#client = client;
    const { signal } = this.#stop;
    await using events = permissionEvents(client);
    const begin = async () => {
      await events.started;
      this.#rows.replace(await listPending(client, signal));
      return true;
    };
    // A refusal is told on the person's own screen.
    const hasBegun = await Promise.race([begin(), this.#ended.promise]);
    if (!hasBegun) return this.#stop.abort();
    const following = async () => {
      for await (const _ of events) this.#refresh();
    };
    try {
      await this.#paint(following);
    } finally {
      this.#stop.abort();
    }
    const { approved, denied } = this.#counts;
    await this.#out.line(`${approved} approved, ${denied} denied`);
  }

  end(): void {
    this.#ended.resolve();
  }

  linkIs(there: boolean): void {
    this.#rows.isAway = !there;
    if (there && this.#screen !== null) this.#refresh();
    this.#screen?.changed();
  }

  async #paint(following: () => Promise<void>): Promise<void> {
    using keys = new Keys();
    await using screen = new LiveScreen({
      out: this.#out,
      draw: () => this.#rows.draw(terminalSize(), Date.now()),
      onError: this.#ended.reject,
      marksPastes: true,
      onAway: () => keys.giveBack(),
      onBack: () => keys.take(),
    });
    this.#screen = screen;
    const pressing = keys.each((key) => this.#press(key));
    await Promise.race([this.#ended.promise, following(), pressing]);
    await this.#answering;
    this.#screen = null;
  }

  #press(key: Key): void {
    const step = STEPS[key.name];
    if (step !== undefined) this.#rows.move(step);
    else if (key.name === "d" || key.name === "enter") this.#rows.toggleDetails();
    else if (key.name === "escape") this.#rows.hideDetails();
    else if (key.name === "q") this.end();
    // Text that was pasted answers nothing.
    else if ((key.name === "y" || key.name === "n") && key.isAlone) this.#answer(key.name === "y");
    this.#screen?.changed();
  }

  #answer(approve: boolean): void {
    const request = this.#rows.answerable;
    // An answer that waits for the daemon to come back could be taken long after it was meant.
    if (request === null || this.#answering !== null || this.#rows.isAway) return;
    this.#answering = this.#send(request, approve).finally(() => {
      this.#answering = null;
      this.#refresh();
      this.#screen?.changed();
    });
  }

  async #send({ request_id, tool }: Pending, approve: boolean): Promise<void> {
    const word = approve ? "approved" : "denied";
    try {
      const params = { request_id, result: { approve } };
      await this.#client.call("permission.answer", params, { timeoutMs: ANSWER_MS });
      this.#counts[word]++;
      this.#rows.answered(request_id, `${word} ${tool}`);
    } catch (error) {
      this.#refused(request_id, error as Error);
    }
  }

  #refused(id: string, error: Error): void {
    const isOver = error instanceof PosternError &&
      ["conflict", "not_found", "not_originator"].includes(error.code);
    if (isOver) this.#rows.missed(id, `not taken: ${error.message}`);
    else this.#rows.message = `not known to be taken: ${error.message}`;
  }

  #refresh(): void {
    this.#listAgain = true;
    if (!this.#isListing && !this.#stop.signal.aborted) void this.#list();
  }

  async #list(): Promise<void> {
    this.#isListing = true;
    try {
      while (this.#listAgain) {
        this.#listAgain = false;
        this.#rows.replace(await listPending(this.#client, this.#stop.signal));
        this.#screen?.changed();
      }
    } catch (error) {
      this.#ended.reject(error);
    } finally {
      this.#isListing = false;
    }
  }
}
