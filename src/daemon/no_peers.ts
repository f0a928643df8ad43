/** The peers of a daemon that is linked to no other: none. A later link takes this one's place. */

import { PosternError, shown } from "../core/errors.ts";
import type { Peers } from "../core/ports.ts";

export const NO_PEERS: Peers = {
  list: () => [],
  deliver: (to) =>
    Promise.reject(
      new PosternError(
        "peer_not_found",
        `send: ${shown(to)} is no peer of this daemon, nor itself`,
      ),
    ),
};
