/**
 * Schemas that several operations share, and how a refused parameter is worded.
 */

import { z } from "zod";
import { PosternError, shown } from "../core/errors.ts";
import { isTopic, isTopicPattern, KINDS } from "../core/event.ts";
import { MAX_TIMEOUT_MS } from "../core/permissions.ts";
import { utf8Length } from "../core/text.ts";

/** The highest seq that a number can name exactly. */
export const MAX_SEQ = Number.MAX_SAFE_INTEGER;
/** Topic patterns in one filter. */
const MAX_PATTERNS = 64;

/** Text of at most so many bytes in UTF-8. */
export function boundedText(what: string, maxBytes: number): z.ZodString {
  return z.string().refine((text) => utf8Length(text) <= maxBytes, {
    error: `${what} must be at most ${maxBytes} bytes`,
  });
}

/** A consumer's name: 1 to 64 bytes of UTF-8 without control characters (AXON 1.2). */
export const consumerName: z.ZodString = z.string()
  .refine((name) => name.length > 0 && utf8Length(name) <= 64, {
    error: "a consumer's name must be 1 to 64 bytes",
  })
  .refine((name) => name.isWellFormed(), { error: "a consumer's name must be UTF-8" })
  .refine((name) => !/\p{Cc}/u.test(name), {
    error: "a consumer's name must not contain control characters",
  });

export const kind: z.ZodEnum<{ [K in typeof KINDS[number]]: K }> = z.enum(KINDS);

export const topic: z.ZodString = z.string().refine(isTopic, {
  error: "a topic must be dot-separated segments of [A-Za-z0-9_-], at most 256 bytes",
});

export const topicPattern: z.ZodString = z.string().refine(isTopicPattern, {
  error:
    "a topic pattern must be dot-separated segments of [A-Za-z0-9_-] or *, a last one may be >, at most 256 bytes",
});

export const topicPatterns = z.array(topicPattern).max(MAX_PATTERNS);

/** What a reader wants to see. */
export const filterFields = {
  kinds: z.array(kind).max(KINDS.length).optional().describe("kinds to let through; all if absent"),
  topics: topicPatterns.optional()
    .describe("topic patterns of which one must match; all events if absent"),
};

export const seq: z.ZodNumber = z.number().int().min(0).max(MAX_SEQ);

/** A lost range of seqs. */
export const gap = z.object({
  from_seq: seq.describe("first lost seq"),
  to_seq: seq.describe("last lost seq"),
}).describe("seqs that retention dropped before they were read");

/** An event as readers see it. */
export const storedEvent = z.object({
  seq,
  buffered_at_ms: z.number().int().describe("epoch milliseconds"),
  envelope: z.record(z.string(), z.unknown()).describe(
    "what the sender wrote, see docs/protocol/axon.md",
  ),
});

/** Parameters whose value is not repeated to anyone. */
const SECRETS: ReadonlySet<string> = new Set(["token", "client_id", "lease_id"]);

/** Words what zod found: operation, parameter, rule, value seen. */
export function invalidParams(operation: string, error: z.ZodError): PosternError {
  const issue = error.issues[0]!;
  const path = issue.path.map(String).join(".");
  const where = path === "" ? "params" : shownPath(path);
  const seen = issue.input === undefined
    ? "it is missing"
    : SECRETS.has(path)
    ? "got another value"
    : `got ${shown(issue.input)}`;
  return new PosternError("invalid_params", `${operation}: ${where}: ${issue.message}, ${seen}`, {
    field: path,
  });
}

function shownPath(path: string): string {
  return path.length > 64 ? `${path.slice(0, 61)}...` : path;
}

/** The longest time of a request for permission, in seconds. */
export const MAX_PERMISSION_SECS = MAX_TIMEOUT_MS / 1000;

/** How long a request for permission waits. */
export const permissionSecs: z.ZodNumber = z.number().positive().max(MAX_PERMISSION_SECS);
