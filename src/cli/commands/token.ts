/**
 * `postern token`: tokens beside the owner's, with scopes of their own, and a new one for the owner.
 *
 * A secret is told once: in a new file that is the owner's alone, or alone on stdout.
 */

import { PosternError, shown } from "../../client/errors.ts";
import type { Client } from "../../client/mod.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, UsageError } from "../exit_codes.ts";
import { columns } from "../format.ts";
import { printable } from "../output.ts";
import { withClient } from "../session.ts";

interface Token {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly last_used_at: number | null;
  readonly revoked?: boolean;
}

const ACTIONS = ["create", "list", "revoke", "rotate"] as const;
const SCOPES = ["read", "send", "write", "serve", "admin"];

export const command: Command = {
  name: "token",
  usage: [
    "create NAME --scope SCOPE,... [--expires 30d] [--output FILE]",
    "list",
    "revoke ID|NAME",
    "rotate",
  ],
  summary: "Make, list and revoke tokens; replace the owner's.",
  details: [
    "Scopes: read, send, write (records), serve (answer for others), admin. A token is told once,",
    "when it is made: --output puts it into a new file that only you can read; without, it is",
    "printed. Whoever has it uses it by --token-file or POSTERN_TOKEN_FILE. `rotate` puts a new",
    "owner token into the token file; the old one is valid a little longer, for those who have",
    "read it already (tokens.rotation_grace_secs).",
  ],
  options: [
    { name: "scope", value: "SCOPE", many: true, choices: SCOPES, help: "what it may do" },
    { name: "expires", value: "TIME", help: "how long it is valid: 90s, 15m, 12h, 30d (for ever)" },
    { name: "output", short: "o", value: "FILE", help: "a new file for the token, mode 0600" },
  ],
  examples: [
    "token create ci --scope read,send --expires 30d --output ci.token",
    "tail --token-file ci.token",
    "token revoke ci",
  ],
  arguments: [1, 2],
  choices: ACTIONS,
  run(context) {
    const [action, reference] = context.args;
    if (action === "create") return create(context, required(action, reference, "a NAME"));
    if (context.values.text("output") !== undefined) {
      throw new UsageError("--output goes with create");
    }
    if (action === "revoke") return revoke(context, required(action, reference, "an ID or NAME"));
    if (reference !== undefined) throw new UsageError(`unexpected argument ${shown(reference)}`);
    if (action === "list") return list(context);
    if (action === "rotate") return rotate(context);
    throw new UsageError(`one of ${ACTIONS.join(", ")} is expected, not ${shown(action)}`);
  },
};

function create(context: Context, name: string): Promise<number> {
  const { values, out } = context;
  const scopes = values.list("scope");
  if (scopes === undefined) throw new UsageError(`--scope is missing: any of ${SCOPES.join(", ")}`);
  const expires_in_secs = values.seconds("expires");
  return withClient(context, async (client) => {
    const params = { name, scopes, ...(expires_in_secs === undefined ? {} : { expires_in_secs }) };
    const make = () => client.call<Token & { token: string }>("token.create", params);
    const file = values.text("output");
    const { token, ...made } = file === undefined
      ? await make()
      : await intoFile(file, client, make);
    if (file === undefined) await out.result({ ...made, token }, () => token);
    else if (out.json) await out.object({ ...made, file });
    if (!out.json) {
      const { id, expires_at } = made;
      const until = expires_at === null ? "for ever" : `until ${timeOf(expires_at)}`;
      const where = file === undefined ? "it is not shown again" : `it is in ${printable(file)}`;
      await out.note(`postern: made token ${id}, valid ${until}; ${where}`);
    }
    return EXIT.ok;
  });
}

/**
 * Puts the token into a file that is there before it is made, for one that can be put nowhere is of no use: where the
 * file takes nothing after all, the token is revoked.
 */
async function intoFile<T extends { id: string; token: string }>(
  path: string,
  client: Client,
  make: () => Promise<T>,
): Promise<T> {
  using file = newFile(path);
  let made: T | null = null;
  try {
    made = await make();
    const text = new TextEncoder().encode(`${made.token}\n`);
    for (let at = 0; at < text.length;) at += file.writeSync(text.subarray(at));
    file.syncSync();
    return made;
  } catch (error) {
    removeIfPossible(path);
    if (made === null) throw error;
    const outcome = await revoked(client, made.id);
    const why = (error as Error).message;
    throw new Error(`--output: "${path}" cannot be written: ${why}; ${outcome}`);
  }
}

/** Revokes what nobody has. @returns What came of it, for who has to know. */
async function revoked(client: Client, id: string): Promise<string> {
  try {
    await client.call("token.revoke", { id });
    return `the token ${id} is revoked`;
  } catch (error) {
    const why = (error as Error).message;
    return `the token ${id} is not known to be revoked (${why}); run: postern token revoke ${id}`;
  }
}

function newFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      const what = "is there already, and is left as it is; it must be a new file";
      throw new PosternError("conflict", `--output: "${path}" ${what}`);
    }
    throw new Error(`--output: "${path}" cannot be made: ${(error as Error).message}`);
  }
}

function removeIfPossible(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // What it has of a token is of no use.
  }
}

function list(context: Context): Promise<number> {
  return withClient(context, async (client) => {
    const found = await client.call<{ tokens: Token[] }>("token.list");
    await context.out.result(found, toText);
    return EXIT.ok;
  });
}

function revoke(context: Context, id: string): Promise<number> {
  return withClient(context, async (client) => {
    await client.call("token.revoke", { id });
    await context.out.result({ revoked: id }, () => `revoked ${id}`);
    return EXIT.ok;
  });
}

/** The token itself is in the file, and need not be on a screen. */
function rotate(context: Context): Promise<number> {
  return withClient(context, async (client) => {
    const { old_valid_until } = await client.call<{ old_valid_until: number }>("token.rotate");
    const token_path = client.target.tokenPath;
    await context.out.result({ token_path, old_valid_until }, () => {
      return `a new owner token is in ${token_path}; the old one is valid until ${
        timeOf(old_valid_until)
      }`;
    });
    return EXIT.ok;
  });
}

function toText({ tokens }: { tokens: Token[] }): string {
  if (tokens.length === 0) return "-- no tokens beside the owner's";
  const rows = tokens.map((token) => [
    token.name,
    token.id,
    token.scopes.join(","),
    timeOf(token.created_at),
    endOf(token),
    token.last_used_at === null ? "never" : timeOf(token.last_used_at),
  ]);
  return columns([["NAME", "ID", "SCOPES", "CREATED", "EXPIRES", "LAST USED"], ...rows]);
}

function endOf({ expires_at, revoked }: Token): string {
  if (revoked) return "revoked, not stored";
  if (expires_at === null) return "never";
  return expires_at <= Date.now() ? "expired" : timeOf(expires_at);
}

function required(action: string, argument: string | undefined, what: string): string {
  if (argument === undefined) throw new UsageError(`${action} needs ${what}`);
  return argument;
}

function timeOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
