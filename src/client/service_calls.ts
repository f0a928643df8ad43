/** Calls of services: one that this program gives up is cancelled at its provider too. */

import { encodeParams } from "./axon.ts";
import { Exchange } from "./exchange.ts";
import type { Link } from "./link.ts";

/** The cancellation itself is not waited for by anybody. */
const CANCEL_MS = 10_000;

/** A program's own ids are other ones. */
const PREFIX = crypto.randomUUID();
let lastId = 0;

/** The parameters under an id by which the call can be cancelled; JSON text goes out as it was written. */
export function withCallId(params: object | string): object | string {
  if (typeof params === "string") return params;
  const { call_id = `${PREFIX}-${++lastId}`, ...others } = params as { call_id?: string };
  return { call_id, ...others };
}

/** Has a call cancelled whose caller gives it up. */
export function cancelIfGivenUp(exchange: Exchange, params: object | string, link: Link): void {
  if (typeof params === "string") return;
  exchange.onGivenUp = () => {
    const { call_id } = params as { call_id?: unknown };
    const text = encodeParams("service.cancel", { call_id });
    const cancellation = new Exchange("service.cancel", text, { timeoutMs: CANCEL_MS });
    // It means something to the connection that the call was made on.
    cancellation.staysBehind = true;
    // The call may have ended meanwhile.
    cancellation.outcome.catch(() => {});
    link.carry(cancellation);
  };
}
