/**
 * `postern record watch`: what records hold, as it changes, until interrupted.
 *
 * On a terminal it is a table that is painted in place, else one JSON object a line. A reader that is slow is told
 * the newest values; what was dropped meanwhile is counted.
 */

import type { Client, RecordUpdate } from "../client/mod.ts";
import type { Context } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { interruptible, interruptibleScreen } from "./interrupt.ts";
import { LiveScreen, terminalSize } from "./live_screen.ts";
import { withRecordNames } from "./record_names.ts";
import { requireApart, requirePattern } from "./record_pattern.ts";
import { RecordRows } from "./record_rows.ts";
import { withClient } from "./session.ts";

const MAX_QUEUE = 100_000;

type Watch = ReturnType<Client["watch"]>;

/** Runs `record watch`; the arguments are the patterns. */
export function watchRecords(context: Context): Promise<number> {
  const { args, values, out } = context;
  requireApart(args.map(requirePattern));
  const options = {
    queueSize: values.integer("queue", [1, MAX_QUEUE]),
    sendInitial: !values.flag("no-initial"),
  };
  // A terminal that cannot move its cursor is told lines as well.
  const isLive = out.isTerminal && !out.json && Deno.env.get("TERM") !== "dumb";
  return withClient(context, (client) => {
    const follow = async () => {
      const watches = args.map((pattern) => client.watch(pattern, options));
      const untilEnded = isLive ? interruptibleScreen : interruptible;
      await untilEnded(
        () => close(watches),
        () => isLive ? paint(watches, context) : print(watches, context),
      ).finally(() => close(watches));
      return EXIT.ok;
    };
    return withRecordNames(client, args, follow);
  });
}

function close(watches: readonly Watch[]): void {
  for (const watch of watches) watch.close();
}

async function print(watches: readonly Watch[], { out }: Context): Promise<void> {
  await each(watches, (update) => out.object(update));
}

/** What stood on the screen in the end stays behind it. */
async function paint(watches: readonly Watch[], { out }: Context): Promise<void> {
  // A name that does not exist is told on the person's own screen.
  await Promise.all(watches.map(({ started }) => started));
  const rows = new RecordRows();
  const draw = () => rows.draw(terminalSize(), Date.now());
  const broken = Promise.withResolvers<never>();
  broken.promise.catch(() => {});
  try {
    await using screen = new LiveScreen({ out, draw, onError: broken.reject });
    const following = each(watches, (update) => {
      rows.note(update);
      screen.changed();
    });
    await Promise.race([following, broken.promise]);
  } finally {
    await out.line(draw().slice(1).join("\n"));
  }
}

/** Takes the updates of all, one after the other. */
async function each(
  watches: readonly Watch[],
  take: (update: RecordUpdate) => void | Promise<void>,
): Promise<void> {
  let turn = Promise.resolve();
  await Promise.all(watches.map(async (watch) => {
    for await (const update of watch) await (turn = turn.then(() => take(update)));
  }));
}
