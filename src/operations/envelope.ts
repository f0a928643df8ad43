/**
 * Makes the envelope of an event as JSON text, once, when the event is accepted.
 *
 * The order of the fields is what block_value.ts reads back quickly; another order is still read.
 */

import type { Kind } from "../core/event.ts";
import { JsonText } from "../core/text.ts";

export interface EnvelopeFields {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly ts: number;
  readonly kind: Kind;
  readonly ref: string | null;
  readonly topic: string | null;
  /** The sender's public name, if it has one. */
  readonly originator: string | null;
  /** Any JSON value; numbers beyond JavaScript's are kept as they were written. */
  readonly payload: unknown;
}

/** The envelope as one line of JSON. */
export function encodeEnvelope(fields: EnvelopeFields): string {
  const { id, ts, kind, ref, topic, originator, payload } = fields;
  let text = `{"v":1,"id":"` + id + addresses(fields.from, fields.to) + ts;
  text += ref === null && topic === null
    ? `,"kind":"` + kind + `","ref":null,`
    : `,"kind":"${kind}","ref":${JSON.stringify(ref)},` +
      (topic === null ? "" : `"topic":"${topic}",`);
  text += originator === null ? `"payload":` : `"originator":"${originator}","payload":`;
  return text + (payload instanceof JsonText ? payload.text : JSON.stringify(payload)) + "}";
}

let lastFrom = "";
let lastTo = "";
let lastAddresses = "";

/** The middle of an envelope, which is the same for all that a daemon sends itself. */
function addresses(from: string, to: string): string {
  if (from !== lastFrom || to !== lastTo) {
    [lastFrom, lastTo] = [from, to];
    lastAddresses = `","from":"${from}","to":${JSON.stringify(to)},"ts":`;
  }
  return lastAddresses;
}
