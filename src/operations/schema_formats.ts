/**
 * The formats of JSON Schema that values are checked for. All are patterns, so that none takes more than linear time;
 * a date must be one of the calendar.
 */

import { Pattern, type Spend } from "./schema_pattern.ts";

export type Format = (text: string, spend: Spend) => boolean;

const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const HOSTNAME = `(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*`;
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `${OCTET}(?:\\.${OCTET}){3}`;
const DATE = "\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])";
const TIME = "(?:[01]\\d|2[0-3]):[0-5]\\d:(?:[0-5]\\d|60)(?:\\.\\d+)?" +
  "(?:[Zz]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)";
const CLOCK = "T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)";
const DAYS = "(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)";
const URI_TAIL = "(?:[A-Za-z0-9._~:/?#[\\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*";

/** Every format there is, by its name. */
export const FORMATS: ReadonlyMap<string, Format> = new Map([
  ["date-time", dated(formatOf(`${DATE}[Tt]${TIME}`))],
  ["date", dated(formatOf(DATE))],
  ["time", formatOf(TIME)],
  ["duration", formatOf(`P(?:\\d+W|${DAYS}(?:${CLOCK})?|${CLOCK})`)],
  [
    "email",
    formatOf(`(?!\\.)(?!.*\\.\\.)(?!.*\\.@)[A-Za-z0-9.!#$%&'*+/=?^_\`{|}~-]{1,64}@${HOSTNAME}`),
  ],
  ["hostname", formatOf(HOSTNAME)],
  ["ipv4", formatOf(IPV4)],
  ["ipv6", isIpv6],
  ["uri", formatOf(`[A-Za-z][A-Za-z0-9+.-]*:${URI_TAIL}`)],
  ["uri-reference", formatOf(URI_TAIL)],
  ["uuid", formatOf("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")],
  ["json-pointer", formatOf("(?:/(?:[^~/]|~[01])*)*")],
]);

function formatOf(pattern: string): Format {
  let compiled: Pattern | null = null;
  return (text, spend) => (compiled ??= new Pattern(`^(?:${pattern})$`)).test(text, spend);
}

function dated(format: Format): Format {
  return (text, spend) => {
    if (!format(text, spend)) return false;
    const [year = 0, month = 0, day = 0] = text.slice(0, 10).split("-").map(Number);
    const date = new Date(0);
    date.setUTCFullYear(year, month - 1, day);
    return date.getUTCDate() === day;
  };
}

function isIpv6(text: string, spend: Spend): boolean {
  spend(text.length);
  // The longest that there is.
  if (text.length > 45) return false;
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => half === "" ? [] : half.split(":"));
  const last = groups.at(-1) ?? "";
  const endsInIpv4 = last.includes(".") && FORMATS.get("ipv4")!(last, spend) && !text.endsWith(":");
  const count = groups.length + (endsInIpv4 ? 1 : 0);
  const isHex = (endsInIpv4 ? groups.slice(0, -1) : groups)
    .every((group) => /^[0-9a-fA-F]{1,4}$/.test(group));
  return isHex && (halves.length === 2 ? count <= 7 : count === 8);
}
