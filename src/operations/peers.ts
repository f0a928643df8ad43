/** Operations on the links to other daemons. */

import { z } from "zod";
import { defineOperation } from "./operation.ts";

export const PEER_LIST = defineOperation({
  name: "peer.list",
  summary: "List the peers that this daemon is linked to.",
  scope: "read",
  params: z.object({}),
  result: z.object({
    peers: z.array(z.object({
      id: z.string().describe("agent_id"),
      addr: z.string(),
      status: z.string(),
      rtt_ms: z.number().optional(),
      source: z.string(),
    })),
  }),
  handle: (_params, { services }) => ({ peers: [...services.peers.list()] }),
});
