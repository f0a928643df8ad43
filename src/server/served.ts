/** What the server keeps of whoever is connected, whatever the transport. */

import type { Codec } from "../codecs/codec.ts";
import type { ClientIdentity } from "../core/clients.ts";
import type { Principal } from "../core/principal.ts";
import type { Presence, Transport } from "../operations/operation.ts";

/** One client that is connected. */
export interface Served {
  readonly principal: Principal | null;
  /** Bytes of an unfinished request, and of the buffer around it. */
  readonly heldInput: number;
  readonly transport: Transport;
  /** What others may know of it. */
  readonly presence: Presence;
  /** Whether it does not read what is there for it. */
  readonly isPaused: boolean;
  /** Tells it what is new. */
  pump(): void;
  /** Notes that the consumers of its subscriptions are in use. */
  touch(): void;
  /** Ends it because it holds more than there is room for. */
  refuseToHold(): void;
  /** Answers what is in progress and then closes. */
  stop(): Promise<void>;
  /** Closes at once. */
  close(): void;
}

/** What a connection needs of its socket. */
export interface Wire {
  /** @returns How many bytes were read, `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** @returns How many bytes were written, which may be fewer. */
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** What is known of a connection before it has said anything. */
export interface ConnectionOptions {
  readonly transport?: Transport;
  /** The dialect, where the transport allows one only. */
  readonly codec?: Codec;
  readonly principal?: Principal | null;
  readonly client?: ClientIdentity | null;
}
