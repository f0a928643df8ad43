/**
 * How a subscription begins, and how it begins again.
 *
 * In the log where it was, it goes on behind the last seq that came. In another log nothing has been seen, so it
 * goes on from its consumer's cursor there, or without a consumer from the very beginning: what comes may have been
 * seen in another log, and is never skipped.
 */

import { encodeParams } from "./axon.ts";
import type { Connection, ConnectionOptions } from "./connection.ts";
import type { Opened } from "./dial.ts";
import type { EventFilter, SubscriptionStart } from "./messages.ts";
import type { Opening, Position, SubscriptionOpener } from "./subscription.ts";

/** What a subscription asks the daemon for. */
export interface Wanted extends EventFilter {
  readonly consumer?: string | null;
  readonly replay?: boolean;
  readonly since?: number;
}

/** Opens a connection for one subscription. */
export type StreamOpener = (options: ConnectionOptions, signal?: AbortSignal) => Promise<Opened>;

/** Opens connections and subscribes on them, each time behind what has come. */
export function openStream(open: StreamOpener, wanted: Wanted): SubscriptionOpener {
  return async (onEvent, { position, signal }) => {
    const { connection, welcome } = await open({ onEvent }, signal);
    try {
      return await subscribe(connection, resumed(wanted, position, welcome.epoch), {
        epoch: welcome.epoch,
        signal,
      });
    } catch (error) {
      connection.close("the subscription was refused");
      throw error;
    }
  };
}

async function subscribe(
  connection: Connection,
  wanted: Wanted,
  { epoch, signal }: { readonly epoch: string | null; readonly signal: AbortSignal },
): Promise<Opening> {
  const params = encodeParams("event.subscribe", wanted);
  const reply = await connection.request("event.subscribe", params, { signal });
  const start = reply as SubscriptionStart;
  return { connection, start, epoch, from: beginning(wanted, start) };
}

function resumed(wanted: Wanted, position: Position | null, epoch: string | null): Wanted {
  if (position === null) return wanted;
  const { since: _since, ...others } = wanted;
  if (position.epoch !== epoch) {
    return wanted.consumer === null
      ? { ...others, replay: true, since: 0 }
      : { ...others, replay: true };
  }
  return position.seq === null ? wanted : { ...others, replay: true, since: position.seq };
}

/** The seq behind which it begins, as far as that can be known here. */
function beginning({ consumer, replay, since }: Wanted, start: SubscriptionStart): number | null {
  if (replay === false) return start.replay_to_seq;
  return since ?? (consumer === null ? 0 : null);
}
