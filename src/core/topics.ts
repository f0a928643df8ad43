/**
 * Dotted names and the patterns of them: topics, channels and records are all named so. The one grammar, which every
 * layer shares.
 */

/** The longest topic or topic pattern, in bytes (which are all ASCII). */
export const MAX_TOPIC_BYTES = 256;

const TOPIC = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;
const PATTERN = /^(([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*(\.>)?|>)$/;

/** Whether `text` is a topic: dot-separated segments of `[A-Za-z0-9_-]`, at most 256 bytes. */
export function isTopic(text: string): boolean {
  return text.length <= MAX_TOPIC_BYTES && TOPIC.test(text);
}

/** Whether `text` is a topic pattern: a topic in which `*` is any one segment and a last `>` the rest. */
export function isTopicPattern(text: string): boolean {
  return text.length <= MAX_TOPIC_BYTES && PATTERN.test(text);
}
