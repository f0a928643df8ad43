/**
 * What is kept of each request: its count, its outcome, how long it took, and for some a line of the audit.
 *
 * Invariant: nothing of the parameters or the result is looked at here, so nothing of them can be kept.
 */

import { type ErrorCode, PosternError } from "../core/errors.ts";
import type { Scope } from "../core/principal.ts";
import { Ticket } from "../core/ticket.ts";
import type { Context, Handled, Operation } from "./operation.ts";

/** What is done with these scopes is audited, whoever does it. */
const AUDITED: ReadonlySet<Scope | null> = new Set<Scope | null>(["write", "admin"]);

/** What is observed of an operation, or of what is one in all but its transport. */
export type Observed = Pick<Operation, "name" | "scope" | "audited">;

/** Carries out a request and notes what became of it. */
export function observe<R>(
  operation: Observed,
  context: Context,
  carryOut: () => Handled<R>,
): Handled<R> {
  const began = performance.now();
  const end = (outcome: "ok" | ErrorCode) => {
    const { metrics } = context.services;
    metrics.answered(operation.name, outcome, (performance.now() - began) / 1000);
    if (outcome === "rate_limited") metrics.rateLimited++;
    if (operation.audited || AUDITED.has(operation.scope)) audit(operation.name, outcome, context);
  };
  let handled: Handled<R>;
  try {
    handled = carryOut();
  } catch (error) {
    end(codeOf(error));
    throw error;
  }
  if (handled instanceof Ticket) {
    handled.whenSettled((outcome) => end(outcome.ok ? "ok" : codeOf(outcome.error)));
  } else if (handled instanceof Promise) {
    handled.then(() => end("ok"), (error) => end(codeOf(error)));
  } else {
    end("ok");
  }
  return handled;
}

/** Notes who did what. */
export function audit(op: string, outcome: string, { services, caller }: Context): void {
  // Anyone can be refused as often as they like; what was done has a line of its own.
  const to = outcome === "ok" ? services.audit : services.refusals;
  to.note({
    op,
    outcome,
    tokenId: caller.principal?.tokenId ?? null,
    originator: caller.client?.originator ?? null,
    transport: caller.transport,
    onBehalfOf: caller.onBehalfOf,
  });
}

/** How an outcome is called. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof PosternError ? error.code : "internal";
}
