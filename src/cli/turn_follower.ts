/**
 * A turn as whoever asked for it sees it: sent, followed by its events to its end, cancelled.
 *
 * It listens before it sends, so no event is missed; after the loss of a connection it goes on behind the last event
 * that came. Where events are gone (retention, another log) and the turn is not open any more, it says so.
 */

import { PosternError } from "../client/errors.ts";
import type { Client, InboundEvent } from "../client/mod.ts";

/** How a turn ended. */
export type TurnOutcome = "completed" | "failed" | "cancelled";

/** A message to a session. */
export interface TurnWish {
  readonly sessionId: string;
  readonly text: string;
}

/** Who is told. */
export interface TurnListener {
  /** The turn is accepted; from now on it can be cancelled. */
  accepted(turnId: string): void;
  /** Each of its events, in order. */
  told(event: InboundEvent): Promise<void>;
}

const ENDS: Readonly<Record<string, TurnOutcome>> = {
  "turn.completed": "completed",
  "turn.failed": "failed",
  "turn.cancelled": "cancelled",
};

/**
 * Sends a message and follows its turn to the end.
 *
 * @throws {PosternError} what the daemon refuses it with; `not_found` when its end can no longer be known
 */
export async function followTurn(
  client: Client,
  { sessionId, text }: TurnWish,
  listener: TurnListener,
): Promise<TurnOutcome> {
  await using stream = client.subscribe({ topics: ["turn.>"], replay: false, consumer: null });
  await stream.started;
  const { turn_id } = await client.call("session.send", { session_id: sessionId, text });
  listener.accepted(turn_id);
  for await (const event of stream) {
    const { topic, payload } = event.envelope;
    if ((payload as { readonly turn_id?: unknown }).turn_id !== turn_id) {
      if (event.gap !== undefined || event.reset !== undefined) {
        await requireOpen(client, sessionId, turn_id);
      }
      continue;
    }
    await listener.told(event);
    const end = ENDS[topic ?? ""];
    if (end !== undefined) return end;
  }
  throw (await client.closed).error;
}

async function requireOpen(client: Client, sessionId: string, turnId: string): Promise<void> {
  const { turns } = await client.call("session.get", { session_id: sessionId });
  if (turns.some(({ turn_id }) => turn_id === turnId)) return;
  throw new PosternError(
    "not_found",
    `following turn ${turnId}: it has ended, and the events that say how are gone`,
  );
}
