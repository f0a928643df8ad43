/** `postern metrics`: what the daemon counts of itself, as Prometheus reads it. */

import type { Command } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { withHttp } from "../http_socket.ts";

export const command: Command = {
  name: "metrics",
  usage: [""],
  summary: "Show what the daemon counts of itself, in Prometheus' text format.",
  details: ["From http.sock. With --json each sample is a line {name, labels, value}."],
  options: [],
  examples: ["metrics", "metrics | grep auth_failures", "metrics --json | jq 'select(.value > 0)'"],
  arguments: [0, 0],
  run: (context) =>
    withHttp(context, "/metrics", async (response) => {
      const text = await response.text();
      await context.out.raw(context.out.json ? samplesOf(text) : text);
      return EXIT.ok;
    }),
};

/** Each sample as a line of JSON. Values that JSON has no number for are text. */
function samplesOf(text: string): string {
  return text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined) return [];
    const pairs = [...labels.matchAll(/(\w+)=("(?:[^"\\]|\\.)*")/g)];
    const named = Object.fromEntries(pairs.map(([, key, text]) => [key, JSON.parse(text!)]));
    const number = Number(value);
    return `${JSON.stringify({ name, labels: named, value: isNaN(number) ? value : number })}\n`;
  }).join("");
}
