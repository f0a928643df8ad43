/**
 * Sends a stream of messages, one a line, many at a time, and accounts for every line.
 *
 * What always holds: each line that is not blank ends as sent, refused or unknown, and is told so unless it
 * was sent and nobody wants to hear of it; at most WINDOW lines are at the daemon; when the daemon is lost,
 * or refuses everything, no further line is read, and the first unread one is named. For people the first
 * MAX_NAMED lines that are not known to be stored are told one by one, and how many more there are at the end.
 */

import { ConnectionError, PosternError } from "../client/errors.ts";
import { type Client, MAX_LINE_BYTES, type Receipt } from "../client/mod.ts";
import { InputLines, type Line } from "./input_lines.ts";
import { suggestingKind } from "./kinds.ts";
import { type Defaults, messageFromLine } from "./message.ts";
import type { Output } from "./output.ts";
import { OutputClosed, printable } from "./output.ts";

/** Enough to keep the daemon's group commits full. */
const WINDOW = 1000;
/** Results that wait for a slow pipe; sending waits for them to go below. */
const MAX_UNPRINTED_CHARS = 256 * 1024;
/** Lines that are told one by one; more would only scroll the first away. */
const MAX_NAMED = 10;
/** Refusals that every further line would meet as well. */
const HOPELESS: ReadonlySet<string> = new Set([
  "auth_required",
  "hello_required",
  "shutting_down",
  "storage_full",
]);

/** What became of all lines. */
export interface StreamSummary {
  /** On the daemon's disk. */
  sent: number;
  /** Of the sent ones, those that were there before under the same dedup_key. */
  duplicates: number;
  /** Not stored. */
  refused: number;
  /** No reply came: stored or not. */
  unknown: number;
  first_seq: number | null;
  last_seq: number | null;
  /** The first line that was not read, when sending ended early. */
  unread_from: number | null;
}

/** What the command line says for lines that do not. */
export interface StreamOptions {
  readonly kind: string;
  /** As `messageFromLine` takes them, the kind among them. */
  readonly defaults: Defaults;
}

/** Sends one stream. */
export class StreamSender {
  readonly summary: StreamSummary = {
    sent: 0,
    duplicates: 0,
    refused: 0,
    unknown: 0,
    first_seq: null,
    last_seq: null,
    unread_from: null,
  };
  /** What ended the sending early. */
  fatal: Error | null = null;
  readonly #stopped = Promise.withResolvers<null>();
  readonly #client: Client;
  readonly #options: StreamOptions;
  readonly #out: Output;
  #lineNumber = 0;
  #inFlight = 0;
  #unprinted = "";
  #complaints = "";
  #named = 0;
  #printing: Promise<void> | null = null;
  #printFailure: unknown = null;
  #progress: PromiseWithResolvers<void> | null = null;

  constructor(client: Client, options: StreamOptions, out: Output) {
    this.#client = client;
    this.#options = options;
    this.#out = out;
  }

  /** Sends every line and waits for every answer. */
  async sendAll(input: ReadableStream<Uint8Array>): Promise<StreamSummary> {
    this.#client.closed.then(({ error }) => this.#stop(error));
    const lines = new InputLines(MAX_LINE_BYTES);
    const reader = input.getReader();
    let ended = false;
    while (!ended && this.fatal === null) {
      // Whoever feeds us may be silent for hours; the loss of the daemon is told at once.
      const part = await Promise.race([reader.read(), this.#stopped.promise]);
      if (part === null) break;
      ended = part.done;
      const last = part.done ? lines.end() : null;
      const complete = part.done ? (last === null ? [] : [last]) : lines.push(part.value);
      for (const line of complete) if (!await this.#send(line)) break;
    }
    await this.#until(() => this.#inFlight === 0);
    if (!ended) this.summary.unread_from ??= this.#lineNumber + 1;
    if (this.#named > MAX_NAMED) {
      const more = this.#named - MAX_NAMED;
      this.#complain(
        `and ${more} more ${more === 1 ? "line" : "lines"} like these; --json names each`,
      );
    }
    await this.#flush();
    return this.summary;
  }

  /** @returns whether to go on */
  async #send(line: Line): Promise<boolean> {
    const number = ++this.#lineNumber;
    await this.#until(() =>
      this.#inFlight < WINDOW && this.#unprinted.length < MAX_UNPRINTED_CHARS
    );
    if (this.fatal !== null) {
      this.summary.unread_from = number;
      return false;
    }
    if (line !== "" && (typeof line !== "string" || line.trim() !== "")) this.#begin(number, line);
    return true;
  }

  #begin(number: number, line: Line): void {
    try {
      if (typeof line !== "string") throw new Error(`the line is ${line.fault}`);
      const params = messageFromLine(line, this.#options.defaults);
      this.#inFlight++;
      this.#client.call<Receipt>("send", params)
        .then((receipt) => this.#stored(number, receipt), (error) => this.#failed(number, error))
        .finally(() => {
          this.#inFlight--;
          this.#wake();
        });
    } catch (error) {
      this.#failed(number, error as Error);
    }
  }

  #stored(line: number, { msg_id, seq, duplicate }: Receipt): void {
    const { summary } = this;
    summary.sent++;
    if (duplicate) summary.duplicates++;
    else if (seq !== undefined) {
      summary.first_seq ??= seq;
      summary.last_seq = Math.max(summary.last_seq ?? 0, seq);
    }
    if (this.#out.json) this.#print(JSON.stringify({ line, seq, msg_id, duplicate }));
  }

  #failed(line: number, error: Error): void {
    const lost = error instanceof ConnectionError;
    if (lost) this.summary.unknown++;
    else this.summary.refused++;
    if (lost || (error instanceof PosternError && HOPELESS.has(error.code))) this.#stop(error);
    const code = lost || error instanceof PosternError ? error.code : "bad_line";
    const { message } = suggestingKind(error, [this.#options.kind]);
    if (this.#out.json) this.#print(JSON.stringify({ line, error: { code, message } }));
    else if (++this.#named <= MAX_NAMED) {
      const fate = lost ? "no reply, it may be stored or not: " : "";
      this.#complain(`line ${line}: ${fate}${message}`);
    }
  }

  #stop(error: Error): void {
    this.fatal ??= error;
    this.#stopped.resolve(null);
  }

  #print(text: string): void {
    this.#unprinted += `${text}\n`;
    this.#startPrinting();
  }

  #complain(text: string): void {
    this.#complaints += `postern: ${printable(text)}\n`;
    this.#startPrinting();
  }

  #startPrinting(): void {
    this.#printing ??= this.#printAll().catch((error) => {
      this.#printFailure = error;
      this.#stop(error);
    }).finally(() => {
      this.#printing = null;
      // What came after the last look and before this has started nothing by itself.
      if (this.#hasUnprinted && this.#printFailure === null) this.#startPrinting();
      this.#wake();
    });
  }

  get #hasUnprinted(): boolean {
    return this.#unprinted !== "" || this.#complaints !== "";
  }

  async #printAll(): Promise<void> {
    // In the next turn, so that a whole read's worth of replies is one write.
    await Promise.resolve();
    while (this.#hasUnprinted) {
      const [text, complaints] = [this.#unprinted, this.#complaints];
      this.#unprinted = this.#complaints = "";
      if (complaints !== "") await this.#out.note(complaints.trimEnd());
      if (text !== "") await this.#out.raw(text);
      this.#wake();
    }
  }

  async #flush(): Promise<void> {
    while (this.#printing !== null) await this.#printing;
    const { unread_from } = this.summary;
    if (this.#printFailure instanceof OutputClosed && unread_from !== null) {
      throw new Error(`the reader of the results has gone; not sent from line ${unread_from} on`);
    }
    if (this.#printFailure !== null) throw this.#printFailure;
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition() && this.#printFailure === null) {
      this.#progress ??= Promise.withResolvers();
      await this.#progress.promise;
    }
  }

  #wake(): void {
    this.#progress?.resolve();
    this.#progress = null;
  }
}
