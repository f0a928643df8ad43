/**
 * Plays every conversation of docs/protocol/axon.md, each against a daemon of its own.
 *
 * What the page prints is what the daemon says; a page without conversations fails, too.
 */

import { assertGreater } from "@std/assert";
import { playTranscript, readTranscripts } from "../support/transcript.ts";

const PAGE = new URL("../../docs/protocol/axon.md", import.meta.url);

const transcripts = readTranscripts(await Deno.readTextFile(PAGE));

Deno.test("docs/protocol/axon.md prints conversations", () => {
  assertGreater(transcripts.length, 15);
});

for (const transcript of transcripts) {
  Deno.test(`docs/protocol/axon.md, ${transcript.name}`, () => playTranscript(transcript));
}
