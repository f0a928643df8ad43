/**
 * The kinds: what sort of message an envelope is. A closed list, which every layer shares.
 *
 * Checked at the registry and nowhere else; a new kind is a line here and in docs/protocol/axon.md.
 */

/** Every kind there is. */
export const KINDS = [
  "hello",
  "ping",
  "pong",
  "query",
  "response",
  "delegate",
  "ack",
  "result",
  "notify",
  "cancel",
  "discover",
  "capabilities",
  "error",
] as const;

export type Kind = typeof KINDS[number];
