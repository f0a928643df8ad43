/**
 * Requests for permission: asked by one, answered by another, decided once.
 *
 * Invariants: only the originator answers, extends or delegates, only the requester cancels; each request ends in
 * exactly one outcome, which is stored together with the one event that tells it; what is not stored has not happened,
 * and whoever asked for it gets the store's error. Changes of one request follow each other: while one is on its way to
 * the disk the next waits, and is judged on what the first came to. A request whose time is over can only time out.
 *
 * Bounds: of requests as pending_permissions.ts says; of what was decided the newest `MAX_RESOLVED`, and what was on
 * its way to the disk together with them.
 */

import { type DecisionWait, DecisionWaits } from "./decision_waits.ts";
import type { Departure } from "./departure.ts";
import { PosternError } from "./errors.ts";
import type { LogEvent, NewEvent } from "./event.ts";
import {
  type Decision,
  delegatedEvent,
  extendedEvent,
  pendingWrite,
  permissionIn,
  type PermissionRequest,
  removal,
  requestedEvent,
  resolvedEvent,
  type ResolvedPermission,
  resolvedWrite,
} from "./permission.ts";
import type { Clock, Document, DocumentWrite, Journal, News } from "./ports.ts";
import { type Pending, pendingOf, PendingPermissions } from "./pending_permissions.ts";
import {
  type Attempt,
  decidedAlready,
  notFound,
  refusalOf,
  requireRole,
} from "./permission_refusals.ts";
import { Ticket } from "./ticket.ts";

/** Of what was decided, what is remembered; the oldest is forgotten for one more. */
export const MAX_RESOLVED = 1000;
/** The furthest end of a request's time from now. */
export const MAX_TIMEOUT_MS = 30 * 86_400_000;

/** What is asked for. */
export type Asked = Omit<PermissionRequest, "requestedMs">;

export interface PermissionsOptions {
  readonly clock: Clock;
  readonly news: News;
  /** The documents of the store among which the requests are. */
  readonly documents: readonly Document[];
  /** Whether there is still somebody who would do what is asked: its turn is open, its token holds. */
  readonly isWanted: (request: PermissionRequest) => boolean;
}

/** The requests of one daemon. */
export class Permissions {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #news: News;
  readonly #isWanted: (request: PermissionRequest) => boolean;
  readonly #pending = new PendingPermissions();
  /** In the order of their ends. */
  readonly #resolved = new Map<string, ResolvedPermission>();
  readonly #waits = new DecisionWaits();
  #stopped = false;

  constructor(journal: Journal, { clock, news, documents, isWanted }: PermissionsOptions) {
    this.#journal = journal;
    this.#clock = clock;
    this.#news = news;
    this.#isWanted = isWanted;
    const stored = documents.filter(({ key }) => key[0] === "permission").map(permissionIn);
    const isResolved = (one: typeof stored[number]): one is ResolvedPermission => "outcome" in one;
    const resolved = stored.filter(isResolved).sort((a, b) => a.resolvedMs - b.resolvedMs);
    for (const one of resolved) this.#resolved.set(one.id, one);
    const pending = stored.filter((one): one is PermissionRequest => !isResolved(one))
      .sort((a, b) => a.requestedMs - b.requestedMs);
    for (const request of pending) this.#pending.add(pendingOf(request));
  }

  /** Requests without an answer. */
  get pendingCount(): number {
    return this.#pending.count;
  }

  /** What an originator has to answer, oldest first. */
  pendingFor(originator: string): PermissionRequest[] {
    return this.#pending.ofOriginator(originator).filter((one) => this.#endOf(one) === null)
      .map(({ request }) => request);
  }

  /**
   * What an originator has to answer and the log does not tell behind a place; after a restart some may be in both.
   *
   * @returns Their ids; nothing of them is held for whoever does not read.
   */
  reminders(originator: string, place: number): string[] {
    return this.pendingFor(originator).map(({ id }) => id)
      .filter((id) => (this.#pending.get(id)!.seq ?? 0) <= place);
  }

  /**
   * Tells a request once more, as the log told it once.
   *
   * @param place The seq that it bears.
   * @returns `null` when there is nothing left for this originator to answer.
   */
  reminder(id: string, originator: string, place: number): LogEvent | null {
    const pending = this.#pending.get(id);
    if (pending?.request.originator !== originator || this.#endOf(pending) !== null) return null;
    const { kind, topic, envelope } = requestedEvent(this.#news, pending.request);
    const bufferedAtMs = pending.request.requestedMs;
    return { seq: place, bufferedAtMs, kind, topic, expiresAtMs: null, envelope };
  }

  /**
   * Asks for permission.
   *
   * @param departure With whose end the request is cancelled, unless the daemon has stopped before; `null` for none.
   * @returns The request, once it is on disk.
   * @throws PosternError `too_many`
   */
  request(asked: Asked, departure: Departure | null = null): Ticket<PermissionRequest> {
    const request = { ...asked, requestedMs: this.#clock.now() };
    this.#pending.requireRoom("permission.request", request);
    const pending: Pending = { ...pendingOf(request), isNew: true };
    this.#pending.add(pending);
    const stored = this.#store(pending, {
      event: requestedEvent(this.#news, request),
      documents: [pendingWrite(request)],
      stored: (seq) => {
        pending.isNew = false;
        pending.seq = seq;
        return request;
      },
      failed: () => this.#drop(pending),
    });
    if (departure !== null) pending.keep = departure.add(() => this.#abandon(pending));
    return stored;
  }

  /**
   * Answers a request.
   *
   * @param answer `json` is all that the originator said, as JSON text.
   * @throws PosternError at once or later: `not_found`, `not_originator`, `conflict` when it is decided or its time is over.
   */
  answer(
    id: string,
    by: string,
    answer: { readonly isApproval: boolean; readonly json: string },
  ): Ticket<ResolvedPermission> {
    const outcome = answer.isApproval ? "approved" : "denied";
    return this.#change(
      { operation: "permission.answer", id, by, role: "originator" },
      (pending) => this.#resolve(pending, { outcome, by, answer: answer.json }),
    );
  }

  /**
   * Withdraws a request.
   *
   * @throws PosternError as `answer`; `permission_denied` for anyone but the requester.
   */
  cancel(id: string, by: string): Ticket<ResolvedPermission> {
    return this.#change(
      { operation: "permission.cancel", id, by, role: "requester" },
      (pending) => this.#resolve(pending, { outcome: "cancelled", by, answer: null }),
    );
  }

  /**
   * Gives the originator more time.
   *
   * @param extendMs So much later than now said; not further than `MAX_TIMEOUT_MS` from now.
   * @throws PosternError as `answer`; `invalid_params`.
   */
  extend(id: string, by: string, extendMs: number): Ticket<PermissionRequest> {
    const operation = "permission.refresh_timeout";
    return this.#change({ operation, id, by, role: "originator" }, (pending) => {
      const expiresMs = pending.request.expiresMs + extendMs;
      const leftMs = expiresMs - this.#clock.now();
      if (leftMs > MAX_TIMEOUT_MS) {
        throw new PosternError(
          "invalid_params",
          `${operation}: extend_s: a request's time ends at most ${
            MAX_TIMEOUT_MS / 1000
          } seconds from now, got ${Math.round(leftMs / 1000)}`,
          { field: "extend_s", limit: MAX_TIMEOUT_MS / 1000 },
        );
      }
      const request = { ...pending.request, expiresMs };
      return this.#replace(pending, request, extendedEvent(this.#news, request));
    });
  }

  /**
   * Makes somebody else the originator. To oneself it changes nothing.
   *
   * @param accepted Called when nothing but the disk stands against it any more; what it throws refuses it.
   * @throws PosternError as `answer`; `too_many` when the other has too many already.
   */
  delegate(
    id: string,
    by: string,
    to: string,
    accepted: () => void = () => {},
  ): Ticket<PermissionRequest> {
    const operation = "permission.delegate";
    return this.#change({ operation, id, by, role: "originator" }, (pending) => {
      if (to === by) return Ticket.of(pending.request);
      this.#pending.requireRoomOf(operation, to);
      accepted();
      const request = { ...pending.request, originator: to };
      pending.heir = to;
      return this.#replace(pending, request, delegatedEvent(this.#news, request));
    });
  }

  /**
   * Waits for the decision of a request; of one that is decided it is there at once.
   *
   * @param tokenId Of the token of the one who waits.
   * @throws PosternError `not_found`, `too_many`, `shutting_down`.
   */
  wait(id: string, tokenId: string): DecisionWait {
    const resolved = this.#resolved.get(id);
    if (resolved !== undefined) return { decided: Ticket.of(resolved), giveUp() {} };
    const pending = this.#pending.get(id);
    if (pending === undefined || pending.isNew) throw notFound("permission.wait", id);
    return this.#waits.add(id, tokenId);
  }

  /** Ends what is to end without anyone asking; to be called once a second. What cannot be stored ends another time. */
  expire(): void {
    for (const pending of this.#pending.all()) this.#endIfDue(pending);
  }

  /** The daemon stops: waits are refused with `shutting_down`; requests go on after the next start. */
  stop(): void {
    this.#stopped = true;
    this.#waits.stop();
  }

  /** Whoever asked has gone, and wanted the request cancelled then. */
  #abandon(pending: Pending): void {
    if (this.#stopped) return;
    pending.isAbandoned = true;
    this.#endIfDue(pending);
  }

  #endIfDue(pending: Pending): void {
    if (pending.changing !== null) return;
    const end = this.#endOf(pending);
    if (end !== null) this.#resolve(pending, end);
  }

  /** What ends it without anyone asking; `null` when nothing does, as yet. */
  #endOf({ request, isAbandoned }: Pending): Omit<Decision, "resolvedMs"> | null {
    if (request.expiresMs <= this.#clock.now()) {
      return { outcome: "timeout", by: null, answer: null };
    }
    if (!isAbandoned && this.#isWanted(request)) return null;
    return { outcome: "cancelled", by: request.requester, answer: null };
  }

  /** Judges an attempt now, or after the change that is on its way. */
  #change<T>(attempt: Attempt, decide: (pending: Pending) => Ticket<T>): Ticket<T> {
    const { operation, id } = attempt;
    const pending = this.#pending.get(id);
    if (pending === undefined || pending.isNew) throw refusalOf(attempt, this.#resolved.get(id));
    if (pending.changing !== null) {
      return pending.changing.chain(() => this.#change(attempt, decide));
    }
    requireRole(attempt, pending.request);
    const end = this.#endOf(pending);
    if (end === null) return decide(pending);
    return this.#resolve(pending, end).chain(() => {
      throw decidedAlready(operation, { id, outcome: end.outcome });
    });
  }

  #resolve(
    pending: Pending,
    decision: Omit<Decision, "resolvedMs">,
  ): Ticket<ResolvedPermission> {
    const { id, originator } = pending.request;
    const resolved = { id, originator, ...decision, resolvedMs: this.#clock.now() };
    const forgotten = this.#takeForgotten();
    return this.#store(pending, {
      event: resolvedEvent(this.#news, resolved),
      documents: [resolvedWrite(resolved), ...forgotten.map((one) => removal(one.id))],
      stored: () => {
        this.#drop(pending);
        this.#resolved.set(id, resolved);
        this.#waits.decided(resolved);
        return resolved;
      },
      failed: () => forgotten.forEach((one) => this.#resolved.set(one.id, one)),
    });
  }

  /** The oldest that are too many. Two, so that what several on their way to the disk left goes too. */
  #takeForgotten(): ResolvedPermission[] {
    const excess = this.#resolved.size - MAX_RESOLVED + 1;
    const forgotten = [...this.#resolved.values().take(Math.min(2, Math.max(0, excess)))];
    for (const { id } of forgotten) this.#resolved.delete(id);
    return forgotten;
  }

  #replace(
    pending: Pending,
    request: PermissionRequest,
    event: NewEvent,
  ): Ticket<PermissionRequest> {
    return this.#store(pending, {
      event,
      documents: [pendingWrite(request)],
      stored: () => {
        pending.heir = null;
        return pending.request = request;
      },
      failed: () => pending.heir = null,
    });
  }

  /** Stores a change with its event; until then the next change of the request waits. */
  #store<T>(
    pending: Pending,
    { event, documents, stored, failed }: {
      readonly event: NewEvent;
      readonly documents: readonly DocumentWrite[];
      /** Makes it so; `seq` is the event's. */
      readonly stored: (seq: number) => T;
      /** Leaves it as it was. */
      readonly failed: () => void;
    },
  ): Ticket<T> {
    const outcome = new Ticket<T>();
    const over = pending.changing = new Ticket<void>();
    this.#journal.append([event], documents).whenSettled((settled) => {
      pending.changing = null;
      if (settled.ok) outcome.succeed(stored(settled.value[0]!.seq));
      else {
        failed();
        outcome.fail(settled.error);
      }
      over.succeed();
      // Who asked may have gone meanwhile; what has just failed is tried again later only.
      if (settled.ok && pending.isAbandoned && this.#pending.get(pending.request.id)) {
        this.#endIfDue(pending);
      }
    });
    return outcome;
  }

  #drop(pending: Pending): void {
    pending.keep();
    this.#pending.remove(pending);
  }
}
