/** A program's records on disk: there at the next start, in a directory that is its own. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { postern } from "../../src/embed/mod.ts";
import { leaveDeadSocket, Stage } from "./stage.ts";

Deno.test("values and sequences are there at the next start", async () => {
  await using stage = new Stage();
  const builder = postern().storedIn(`${stage.directory}/d`).record("n", { type: "number" });
  {
    await using db = await builder.build();
    await db.record("n").set(1);
    await db.record("n").set(2);
  }
  await using db = await builder.build();
  const { value, sequence } = await db.record("n").get();
  assertEquals([value, sequence], [2, 2]);
});

Deno.test("without a directory nothing is there at the next start", async () => {
  const builder = postern().record("n");
  {
    await using db = await builder.build();
    await db.record("n").set(1);
  }
  await using db = await builder.build();
  await assertRejects(() => db.record("n").get(), Error, "holds no value");
});

Deno.test("a directory in which a daemon runs is refused", async () => {
  await using stage = new Stage();
  const builder = postern().storedIn(`${stage.directory}/d`);
  await using _db = await builder.build();
  await assertRejects(() => builder.build(), Error, "a daemon is already running in");
});

Deno.test("a directory that others may read is refused, and so is one that is not named whole", async () => {
  await using stage = new Stage();
  await Deno.mkdir(`${stage.directory}/open`, { mode: 0o755 });
  await Deno.writeTextFile(`${stage.directory}/open/file`, "");
  const build = (directory: string) => postern().storedIn(directory).build();
  await assertRejects(() => build(`${stage.directory}/open`), Error, "0700 is needed");
  assertThrows(() => build("d"), Error, 'storedIn: must be an absolute path, got "d"');
});

Deno.test("a socket that a dead daemon left in the directory is replaced", async () => {
  await using stage = new Stage();
  const directory = `${stage.directory}/d`;
  const builder = postern().storedIn(directory).withRemoteAccess().record("n");
  await (await builder.build()).close();
  leaveDeadSocket(`${directory}/postern.sock`);
  await using db = await builder.build();
  assertEquals(db.socketPath, `${directory}/postern.sock`);
  await stage.aimx({}, db.socketPath);
});

Deno.test("a socket in the directory that somebody listens on is left alone, a dead one goes", async () => {
  await using stage = new Stage();
  const directory = `${stage.directory}/d`;
  const builder = postern().storedIn(directory).withRemoteAccess({ socketPath: stage.socketPath });
  await (await builder.build()).close();
  const path = `${directory}/postern.sock`;
  const listener = Deno.listen({ transport: "unix", path });
  await assertRejects(() => builder.build(), Error, `another program listens on ${path}`);
  listener.close();
  leaveDeadSocket(path);
  await using _db = await builder.build();
  await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
});

Deno.test("in the directory of the files a socket has the name that the next start knows", async () => {
  await using stage = new Stage();
  const directory = `${stage.directory}/d`;
  const builder = postern().storedIn(directory);
  const other = builder.withRemoteAccess({ socketPath: `${directory}/other.sock` });
  await assertRejects(() => other.build(), Error, "must be named postern.sock in the directory");
});

Deno.test("a record that is declared as another buffer than it was is a conflict, and the directory is free again", async () => {
  await using stage = new Stage();
  const builder = postern().storedIn(`${stage.directory}/d`);
  await (await builder.record("n", { bufferType: "spmc_ring" }).build()).close();
  await assertRejects(() => builder.record("n").build(), Error, "remove it first");
  await using _db = await builder.record("n", { bufferType: "spmc_ring" }).build();
});
