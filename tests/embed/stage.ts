/** What the tests of ./embed share: a place for a socket, and AimX spoken to it by hand. */

import { assertEquals } from "@std/assert";
import { join } from "@std/path/posix";
import { AimxClient, greet, type Hello } from "../support/aimx_client.ts";
import { type Line, RawClient } from "../support/raw_client.ts";

/** A directory that is removed in the end, and the connections that were made through it. */
export class Stage implements AsyncDisposable {
  readonly directory: string = Deno.realPathSync(
    Deno.makeTempDirSync({ prefix: "postern_", dir: "/tmp" }),
  );
  readonly #clients: RawClient[] = [];

  get socketPath(): string {
    return join(this.directory, "aimx.sock");
  }

  /** A connection that has said nothing. */
  async connect(socketPath: string = this.socketPath): Promise<RawClient> {
    const client = await RawClient.connect(socketPath);
    this.#clients.push(client);
    return client;
  }

  /** What a hello is answered with. */
  async greet(hello: Hello = {}, socketPath?: string): Promise<Line> {
    return await greet(await this.connect(socketPath), hello);
  }

  /** A connection that was welcomed. */
  async aimx(hello: Hello = {}, socketPath?: string): Promise<AimxClient> {
    const client = await this.connect(socketPath);
    const { welcome, error } = await greet(client, hello);
    assertEquals(error, undefined);
    return new AimxClient(client, welcome);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** The next value of a watch. */
export async function nextValue<T>(
  watch: AsyncIterator<{ readonly value: T }, undefined>,
): Promise<T | undefined> {
  return (await watch.next()).value?.value;
}

/** A socket that nobody listens on any more, as a crash leaves it. */
export function leaveDeadSocket(path: string): void {
  const listener = Deno.listen({ transport: "unix", path: `${path}.old` });
  // Deno takes a socket away when it closes it, under the name that it knows.
  Deno.renameSync(`${path}.old`, path);
  listener.close();
}
