/**
 * What a session and its turns are, and how they are stored.
 *
 * A session's document is only ever put, a turn's only ever appended with the event that tells of it; so a turn is on
 * disk exactly while it is open. Persisted: a new field needs a default for the documents that lack it.
 */

import type { Document, DocumentWrite } from "./ports.ts";
import type { Runner } from "./runners.ts";

/** What a session says of itself. */
export interface SessionDefinition {
  /** Name of the runner that is to run its turns; `null` for whoever attaches to it. */
  readonly runner: string | null;
  readonly title: string | null;
  /** How long requests for permission of its turns wait; `null` for as long as any other. */
  readonly permissionTimeoutSecs: number | null;
}

/** A conversation that turns belong to. */
export interface Session extends SessionDefinition {
  readonly id: string;
  /** Of the token that it was made with; `""` for one of a store that did not say. No secret. */
  readonly tokenId: string;
  readonly createdMs: number;
}

/** A message to a session. */
export interface Message {
  readonly sessionId: string;
  readonly text: string;
  /** JSON text, or `null`. */
  readonly data: string | null;
  /** Public name of whoever sends it, if it has one. */
  readonly originator: string | null;
  /** Of the token that it comes with. */
  readonly tokenId: string;
}

/** What became of a message. */
export interface AcceptedTurn {
  readonly turnId: string;
  readonly messageId: string;
  readonly acceptedMs: number;
}

/** A message from the runner's side. */
export interface Reply {
  readonly sessionId: string;
  readonly text: string;
  readonly target: string | undefined;
  /** Public name of whoever sends it, if it has one. */
  readonly originator: string | null;
}

/** One answer that is asked for, from its acceptance to its end. */
export interface Turn {
  readonly id: string;
  /** Turns of a session are in the order of this. */
  readonly order: number;
  readonly messageId: string;
  readonly text: string;
  /** JSON text, or `null`. */
  readonly data: string | null;
  /** Public name of whoever asked, if it has one. */
  readonly originator: string | null;
  /** Of the token that it was asked for with; `""` for one of a store that did not say. */
  readonly tokenId: string;
  readonly acceptedMs: number;
  /** From when it waits for a runner, in elapsed time. Not stored: a restart begins anew. */
  readonly waitsSinceMs: number;
  /** Who runs it; `null` while it is queued. */
  readonly runner: Runner | null;
}

/** How a turn ends. */
export const TURN_ENDS = ["completed", "failed", "cancelled"] as const;

export type TurnEnd = typeof TURN_ENDS[number];

/** A session with its open turns: the first may be running, all others are queued. */
export interface SessionState {
  /** `null` before it is made. */
  readonly session: Session | null;
  readonly turns: readonly Turn[];
}

/** What stores a session. */
export function sessionWrite(session: Session, lastMs: number): DocumentWrite {
  const { id, tokenId, runner, title, permissionTimeoutSecs, createdMs } = session;
  const fields = {
    runner,
    title,
    permission_timeout_secs: permissionTimeoutSecs,
    token_id: tokenId,
    created_ms: createdMs,
    last_ms: lastMs,
  };
  return { key: ["session", id], content: { fields } };
}

/** What stores the turns that changed between two states. */
export function turnWrites(from: SessionState, to: SessionState): DocumentWrite[] {
  const before = new Set(from.turns);
  const kept = new Set(to.turns.map(({ id }) => id));
  return [
    ...from.turns.filter(({ id }) => !kept.has(id))
      .map(({ id }): DocumentWrite => ({ key: ["turn", id], content: null })),
    ...to.turns.filter((turn) => !before.has(turn)).map((turn) => turnWrite(to.session!.id, turn)),
  ];
}

function turnWrite(sessionId: string, turn: Turn): DocumentWrite {
  const { id, order, messageId, text, data, originator, tokenId, acceptedMs, runner } = turn;
  const fields = {
    session: sessionId,
    order,
    message: messageId,
    originator,
    token_id: tokenId,
    accepted_ms: acceptedMs,
    running: runner !== null,
    // The data stands before the text.
    data_chars: data?.length ?? null,
  };
  // Whoever runs it was told what it says.
  const kept = runner === null ? (data ?? "") + text : "";
  return { key: ["turn", id], content: { fields, text: kept } };
}

/** What is on disk of a session. */
export interface StoredSession {
  readonly session: Session;
  readonly lastMs: number;
  readonly turns: Turn[];
}

/**
 * The sessions that a restart finds, their open turns in order.
 *
 * @param gone Stands for the runners of turns that ran: they have gone with the daemon that knew them.
 */
export function storedSessions(
  documents: readonly Document[],
  gone: Runner,
): ReadonlyMap<string, StoredSession> {
  const sessions = new Map<string, StoredSession>();
  for (const { key: [collection, id], fields } of documents) {
    if (collection !== "session") continue;
    const session = {
      id,
      runner: fields.runner as string | null,
      title: fields.title as string | null,
      permissionTimeoutSecs: fields.permission_timeout_secs as number | null | undefined ?? null,
      tokenId: fields.token_id as string | undefined ?? "",
      createdMs: fields.created_ms as number,
    };
    sessions.set(id, { session, lastMs: fields.last_ms as number, turns: [] });
  }
  const turns = documents.filter(({ key }) => key[0] === "turn")
    .sort((a, b) => (a.fields.order as number) - (b.fields.order as number));
  for (const document of turns) {
    // Always found: a turn is stored behind its session, and that is not forgotten while one is open.
    sessions.get(document.fields.session as string)?.turns.push(storedTurn(document, gone));
  }
  return sessions;
}

function storedTurn({ key: [, id], fields, text = "" }: Document, gone: Runner): Turn {
  const isRunning = fields.running as boolean;
  const dataChars = isRunning ? null : fields.data_chars as number | null;
  return {
    id,
    order: fields.order as number,
    messageId: fields.message as string,
    text: text.slice(dataChars ?? 0),
    data: dataChars === null ? null : text.slice(0, dataChars),
    originator: fields.originator as string | null,
    tokenId: fields.token_id as string | undefined ?? "",
    acceptedMs: fields.accepted_ms as number,
    waitsSinceMs: 0,
    runner: isRunning ? gone : null,
  };
}
