/** A client that was written for the CheetahClaws note works over http.sock unchanged, given the token. */

import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { startProcess, TestDirectory } from "../support/process.ts";

const CLIENT = fromFileUrl(new URL("cheetahclaws_client.py", import.meta.url));

async function pythonIsThere(): Promise<boolean> {
  try {
    return (await new Deno.Command("python3", { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}

Deno.test({
  name:
    "a client of the CheetahClaws note works, and keeps its originator over restarts of both sides",
  ignore: !await pythonIsThere(),
  async fn() {
    await using directory = new TestDirectory();
    const state = directory.beside("state");
    await Deno.mkdir(state);
    const play = async () => {
      await using daemon = startProcess(directory.path);
      await daemon.ready();
      const { success, stdout, stderr } = await new Deno.Command("python3", {
        args: [CLIENT, directory.at("http.sock"), state],
        env: { DAEMON_TOKEN: directory.read("ipc-token").trim() },
      }).output();
      assertEquals(success, true, new TextDecoder().decode(stderr));
      daemon.signal("SIGTERM");
      assertEquals(await daemon.end(), 0);
      return JSON.parse(new TextDecoder().decode(stdout));
    };
    const first = await play();
    assertMatch(first.originator, /^o-[0-9a-f]{32}$/);
    assertEquals(await play(), { originator: first.originator, last: first.last + 2 });
  },
});
