/**
 * WebSockets that are told 1013 because `limits.max_connections` are connected already.
 *
 * That can be said only on one that is open, and the platform keeps it, with whatever comes on it, until the other
 * side has answered or goes: so there are `MAX_TURNED_AWAY` at once, and then no more upgrades.
 */

import type { PosternError } from "../../core/errors.ts";

const MAX_TURNED_AWAY = 8;
/** The code that says: try again later. */
const TRY_AGAIN_LATER = 1013;
/** Characters of a reason; a close frame holds 123 bytes. */
const REASON_CHARS = 120;

/** Those of one server. */
export class TurnedAway {
  #count = 0;

  get hasRoom(): boolean {
    return this.#count < MAX_TURNED_AWAY;
  }

  /** Closes one as soon as it is open, and counts it until the platform has let go of it. */
  add(socket: WebSocket, { message }: PosternError): void {
    this.#count++;
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    socket.onopen = () => socket.close(TRY_AGAIN_LATER, message.slice(0, REASON_CHARS));
    socket.onclose = () => resolve();
    socket.onerror = () => resolve();
    gone.then(() => this.#count--);
  }
}
