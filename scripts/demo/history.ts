/**
 * Real input for the demo: this repository's own history as events, one for each commit and one for each
 * file that it touched. Without a history, the lines of the README.
 */

import { join } from "@std/path/posix";
import { ROOT } from "../daemon_process.ts";

/** One line of what `postern send --stdin` reads. */
export interface Message {
  readonly kind: "notify";
  readonly topic: string;
  readonly payload: Record<string, string | number>;
}

/** What the demo sends, and where it is from. */
export interface Material {
  readonly messages: readonly Message[];
  readonly source: string;
  /** How a person makes the same NDJSON. */
  readonly byHand: string;
}

/** The newest are taken of a longer history, so that half of it is one page of an inbox. */
const MAX_MESSAGES = 2_000;
/** Fields end in a unit separator, which no commit's subject has. */
const FORMAT = "commit%x1f%H%x1f%cI%x1f%s";
const README = "README.md";

/** Reads the history, or the README where there is none. */
export async function readMaterial(): Promise<Material> {
  const log = await gitLog();
  if (log === undefined) return readmeMaterial();
  const messages = historyMessages(log).slice(-MAX_MESSAGES);
  return {
    messages,
    source: `git log: ${countOf(messages, "repo.commit")} commits, ${
      countOf(messages, "repo.change")
    } changed files`,
    byHand: `git log --reverse --format='{"kind":"notify","topic":"repo.commit","payload":"%H"}'`,
  };
}

async function gitLog(): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("git", {
      args: ["log", "--reverse", "--name-status", "--no-renames", `--format=${FORMAT}`],
      cwd: ROOT,
      stdin: "null",
      stderr: "null",
    }).output();
    const text = new TextDecoder().decode(stdout);
    return success && text.trim() !== "" ? text : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The lines of `git log --name-status` as messages, oldest first. */
export function historyMessages(log: string): Message[] {
  let commit = "";
  return log.split("\n").flatMap((line): Message[] => {
    if (line === "") return [];
    if (line.startsWith("commit\x1f")) {
      const [, hash = "", date = "", subject = ""] = line.split("\x1f");
      commit = hash;
      return [message("repo.commit", { commit, date, subject })];
    }
    const [change = "", path = ""] = line.split("\t");
    return [message("repo.change", { commit, change, path })];
  });
}

function readmeMaterial(): Material {
  const lines = Deno.readTextFileSync(join(ROOT, README)).split("\n").slice(0, MAX_MESSAGES);
  return {
    messages: lines.map((text, i) => message("repo.line", { file: README, line: i + 1, text })),
    source: `${lines.length} lines of ${README}, as there is no git history here`,
    byHand: `jq -Rc '{kind:"notify",topic:"repo.line",payload:{text:.}}' ${README}`,
  };
}

function message(topic: string, payload: Message["payload"]): Message {
  return { kind: "notify", topic, payload };
}

function countOf(messages: readonly Message[], topic: string): number {
  return messages.filter((one) => one.topic === topic).length;
}

/** As NDJSON, each line with its line feed. */
export function toNdjson(messages: readonly Message[]): string {
  return messages.map((one) => JSON.stringify(one) + "\n").join("");
}
