/**
 * A socket between a program and a daemon that delivers as awkwardly as a socket may: one byte at a time, and,
 * if asked to, with an end in the middle of a line.
 *
 * Beside the socket lies a `daemon.json` that names it, and a token file, so that the directory looks to a program
 * like a daemon's.
 */

import { join } from "@std/path/posix";

/** What is in front of which daemon. */
export interface AwkwardOptions {
  /** The daemon's socket. */
  readonly socketPath: string;
  readonly token: string;
  /** Ends the connection after so many bytes from the daemon. @default {Infinity} */
  readonly endsAfter?: number;
}

/** A directory for a program, with the awkward socket in it. */
export class AwkwardSocket implements AsyncDisposable {
  readonly directory: string;
  readonly #listener: Deno.UnixListener;
  readonly #options: AwkwardOptions;
  readonly #connections: Promise<void>[] = [];
  readonly #accepting: Promise<void>;

  constructor(options: AwkwardOptions) {
    this.#options = options;
    this.directory = Deno.makeTempDirSync({ prefix: "postern_", dir: "/tmp" });
    const discovery = { schema: 1, sockets: { ndjson: "awkward.sock" }, token_path: "token" };
    Deno.writeTextFileSync(join(this.directory, "daemon.json"), JSON.stringify(discovery));
    Deno.writeTextFileSync(join(this.directory, "token"), `${options.token}\n`);
    this.#listener = Deno.listen({ transport: "unix", path: join(this.directory, "awkward.sock") });
    this.#accepting = this.#accept();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    await Promise.all(this.#connections);
    await Deno.remove(this.directory, { recursive: true });
  }

  async #accept(): Promise<void> {
    for await (const program of this.#listener) this.#connections.push(this.#join(program));
  }

  async #join(program: Deno.UnixConn): Promise<void> {
    const daemon = await Deno.connect({ transport: "unix", path: this.#options.socketPath });
    const there = program.readable.pipeTo(daemon.writable).catch(() => {});
    await this.#trickle(daemon, program).catch(() => {});
    // Only this direction ends, so that the program sees an end, and not a broken pipe in the middle of a write.
    await program.closeWrite().catch(() => {});
    await there;
    close(program);
    close(daemon);
  }

  async #trickle(daemon: Deno.Conn, program: Deno.Conn): Promise<void> {
    const chunk = new Uint8Array(4096);
    let left = this.#options.endsAfter ?? Infinity;
    for (let size = await daemon.read(chunk); size !== null; size = await daemon.read(chunk)) {
      for (let at = 0; at < size; at++) {
        if (left-- <= 0) return;
        await program.write(chunk.subarray(at, at + 1));
      }
    }
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Its other direction has ended it already.
  }
}
