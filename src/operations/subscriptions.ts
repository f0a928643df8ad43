/** How a subscription is ended, whatever it streams. */

import { z } from "zod";
import { PosternError, shown } from "../core/errors.ts";
import type { Context } from "./operation.ts";

/** Names the subscription, as its opening answered. */
export const subscriptionParams = z.object({ subscription_id: z.string().max(64) });

/** @throws PosternError `not_found` */
export function endSubscription(
  operation: string,
  { subscription_id }: z.infer<typeof subscriptionParams>,
  { caller }: Context,
): Record<never, never> {
  if (caller.unsubscribe(subscription_id)) return {};
  throw new PosternError(
    "not_found",
    `${operation}: this connection has no subscription ${shown(subscription_id)}`,
  );
}
