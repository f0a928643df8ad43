/** `postern init`: a commented configuration to edit. Never touches one that is there. */

import { join } from "@std/path/posix";
import { PosternError } from "../../client/errors.ts";
import type { Command } from "../command.ts";
import { EXIT } from "../exit_codes.ts";
import { targetOf } from "../session.ts";

export const command: Command = {
  name: "init",
  usage: ["[--print]"],
  summary: "Write a commented config.jsonc with every key and its default.",
  details: [
    "A daemon needs none. The directory is made if it is missing, with mode 0700. A file that",
    "is there is never overwritten.",
  ],
  options: [{ name: "print", help: "only print it" }],
  examples: ["init", "init --dir ./state", "init --print"],
  arguments: [0, 0],
  async run({ values, out }) {
    const { configTemplate } = await import("../config_template.ts");
    const text = configTemplate();
    if (values.flag("print")) {
      await (out.json ? out.object({ text }) : out.raw(text));
      return EXIT.ok;
    }
    const { directory } = targetOf(values);
    const { preparePrivateDirectory } = await import("../../daemon/runtime_directory.ts");
    preparePrivateDirectory(directory, Deno.uid());
    const file = join(directory, "config.jsonc");
    create(file, text);
    await out.result({ file }, () => `written: ${file}`);
    return EXIT.ok;
  },
};

function create(path: string, text: string): void {
  try {
    Deno.writeTextFileSync(path, text, { createNew: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    throw new PosternError(
      "conflict",
      `writing the configuration: ${path} is there and stays as it is; init --print shows the defaults`,
    );
  }
}
