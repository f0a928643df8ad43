/** What a runner says of the turns that it runs. */

import { z } from "zod";
import { TURN_TELLINGS } from "../core/turns.ts";
import { defineOperation } from "./operation.ts";
import { seq } from "./params.ts";
import { jsonOf, runnerOf, turnId } from "./sessions.ts";

export const TURN_EMIT = defineOperation({
  name: "turn.emit",
  summary: "Tell of a turn that this connection runs; completed and failed end it.",
  scope: "serve",
  pipelined: true,
  params: z.object({
    turn_id: turnId,
    type: z.enum(TURN_TELLINGS),
    data: z.unknown().optional().describe("any JSON value, at most 48 KiB"),
  }),
  result: z.object({ seq: seq.describe("place of the event in the log") }),
  handle({ turn_id, type, data }, { services: { sessions }, caller }) {
    const told = { turnId: turn_id, type, data: jsonOf(data) };
    return sessions.emit(runnerOf("turn.emit", caller), told).map(({ seq }) => ({ seq }));
  },
});
