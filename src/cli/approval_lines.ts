/**
 * `postern approvals` for programs: a line for each request that waits for us, and one for what became of it.
 *
 * A request is told once, before anything else is told of it. One that was asked and decided while the daemon was
 * asked for the list, or while there was no connection, may not be told at all.
 */

import type { Client, InboundEvent, Subscription } from "../client/mod.ts";
import { listPending, permissionEvents } from "./approval_list.ts";
import type { Context } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { interruptible } from "./interrupt.ts";
import type { Output } from "./output.ts";
import { withIdentity } from "./session.ts";

/** What stands in the events of permissions, as far as it is looked at. */
interface News {
  readonly request_id: string;
  readonly originator?: string;
  readonly to?: string;
  readonly outcome?: string;
  readonly by?: string | null;
  readonly result?: unknown;
}

/** Prints until interrupted. */
export function printApprovals(context: Context): Promise<number> {
  const { out } = context;
  const onNotice = ({ type }: { readonly type: string }) => {
    if (type === "lost") void out.note("-- the daemon is away; waiting for it to come back");
  };
  return withIdentity(context, { onNotice }, async (client) => {
    const events = permissionEvents(client);
    const stop = new AbortController();
    const lines = new ApprovalLines({ client, out, signal: stop.signal });
    try {
      await interruptible(() => stop.abort(), () => follow(events, lines, stop.signal));
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    } finally {
      events.close();
    }
    return EXIT.ok;
  });
}

async function follow(
  events: Subscription,
  lines: ApprovalLines,
  signal: AbortSignal,
): Promise<void> {
  signal.addEventListener("abort", () => events.close(), { once: true });
  await events.started;
  await lines.tellNew();
  for await (const event of events) await lines.take(event);
}

interface LinesOptions {
  readonly client: Client;
  readonly out: Output;
  /** Ends a question that waits for the daemon to come back. */
  readonly signal: AbortSignal;
}

class ApprovalLines {
  readonly #client: Client;
  readonly #out: Output;
  readonly #signal: AbortSignal;
  /** Those that were told and wait. The daemon bounds how many do. */
  readonly #told = new Set<string>();
  /** Whether the last list had not all. */
  #hasMore = false;

  constructor({ client, out, signal }: LinesOptions) {
    this.#client = client;
    this.#out = out;
    this.#signal = signal;
  }

  /** Tells the requests that have not been told. What is gone without a word is forgotten. */
  async tellNew(isComplete = false): Promise<void> {
    const { pending, has_more } = await listPending(this.#client, this.#signal);
    this.#hasMore = has_more;
    for (const request of pending) {
      if (this.#told.has(request.request_id)) continue;
      this.#told.add(request.request_id);
      await this.#out.object({ type: "pending", ...request });
    }
    if (!isComplete || has_more) return;
    const waiting = new Set(pending.map(({ request_id }) => request_id));
    for (const id of this.#told) if (!waiting.has(id)) this.#told.delete(id);
  }

  async take({ envelope, gap, reset }: InboundEvent): Promise<void> {
    if (gap !== undefined || reset !== undefined) await this.tellNew(true);
    const news = envelope.payload as News;
    const { request_id, to } = news;
    const own = this.#client.originator;
    if (envelope.topic === "permission.resolved") await this.#decided(news);
    else if (envelope.topic === "permission.requested" && news.originator === own) {
      await this.tellNew();
    } else if (envelope.topic === "permission.delegated" && to === own) await this.tellNew();
    else if (envelope.topic === "permission.delegated" && this.#told.delete(request_id)) {
      await this.#out.object({ type: "delegated", request_id, to });
    }
  }

  async #decided({ request_id, outcome, by, result }: News): Promise<void> {
    if (!this.#told.delete(request_id)) return;
    const line = { type: "decided", request_id, decision: outcome, by, answer: result };
    await this.#out.object(line);
    // What was answered makes room for the others.
    if (this.#hasMore) await this.tellNew();
  }
}
