/**
 * Plays every conversation of the protocol pages, each against a daemon of its own.
 *
 * What the page prints is what the daemon says; a page without conversations fails, too.
 */

import { assertGreater, assertRejects } from "@std/assert";
import { playTranscript, readTranscripts } from "../support/transcript.ts";

const PAGES = ["axon.md", "json-rpc.md", "aimx.md"];

for (const page of PAGES) {
  const url = new URL(`../../docs/protocol/${page}`, import.meta.url);
  const transcripts = readTranscripts(await Deno.readTextFile(url));

  Deno.test(`docs/protocol/${page} prints conversations`, () => {
    assertGreater(transcripts.length, 6);
  });

  for (const transcript of transcripts) {
    Deno.test(`docs/protocol/${page}, ${transcript.name}`, () => playTranscript(transcript));
  }
}

const PLAYED = ['-> {"cmd":"peers","req_id":"1"}', '<- {"ok":true,"req_id":"1","peers":[]}'];

const UNLIKE: Record<string, string[]> = {
  "another value": [PLAYED[0]!, '<- {"ok":true,"req_id":"2","peers":[]}'],
  "a field more": [PLAYED[0]!, '<- {"ok":true,"req_id":"1"}'],
  "a field less": [PLAYED[0]!, '<- {"ok":true,"req_id":"1","peers":[],"gap":<any>}'],
  "an element more": [PLAYED[0]!, '<- {"ok":true,"req_id":"1","peers":[<any>]}'],
  "a value of another sort": [PLAYED[0]!, '<- {"ok":true,"req_id":<seq>,"peers":[]}'],
  "a reply that is not printed": [PLAYED[0]!],
  "a line of no known form": [...PLAYED, "and so on"],
};

Deno.test("a conversation as the page prints it passes", () => play(PLAYED));

for (const [difference, steps] of Object.entries(UNLIKE)) {
  Deno.test(`a conversation with ${difference} fails`, async () => {
    await assertRejects(() => play(steps));
  });
}

function play(steps: string[]): Promise<void> {
  return playTranscript({ name: "made for this test", steps });
}
