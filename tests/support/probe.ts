/**
 * Tries everything that a sandboxed thread must not be able to do, and says what came of each try.
 *
 * An attempt is `refused` only when Deno says so itself (NotCapable), not when it fails for another reason: a
 * missing file proves nothing.
 */

/** Where to try. */
export interface ProbePlaces {
  readonly directory: string;
  /** A directory outside, with what {@linkcode plant} puts there and a socket `other.sock` that answers. */
  readonly outside: string;
}

type Attempt = () => unknown;

/** Puts in place what the attempts want to reach, so that a refusal is one and no missing file. */
export function plant({ directory, outside }: ProbePlaces): void {
  const module = "globalThis.postMessage?.('runs');\n";
  Deno.writeTextFileSync(`${outside}/secret`, "secret\n");
  Deno.writeTextFileSync(`${outside}/outside.js`, module);
  Deno.writeTextFileSync(`${directory}/inside.js`, module);
  Deno.writeTextFileSync(`${directory}/leading.js`, `import "file://${outside}/outside.js";\n`);
}

/** The outcome of each attempt by its name: `refused`, `ALLOWED`, or the error that was met instead. */
export async function tryAll(places: ProbePlaces): Promise<Record<string, string>> {
  const attempts = {
    ...files(places),
    ...networks(places),
    ...machine(places),
    ...imports(places),
  };
  const outcomes: Record<string, string> = {};
  for (const [name, attempt] of Object.entries(attempts)) outcomes[name] = await outcomeOf(attempt);
  return outcomes;
}

async function outcomeOf(attempt: Attempt): Promise<string> {
  try {
    const value = await attempt();
    return value === "denied" ? "refused" : "ALLOWED";
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return "refused";
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (/Requires \w+ access|NotCapable|Can't escalate parent thread permissions/.test(text)) {
      return "refused";
    }
    // npm's specifiers are stopped by the cache flag, not by a permission.
    return /--cached-only|not found in cache/.test(text) ? "refused" : text;
  }
}

function files({ directory, outside }: ProbePlaces): Record<string, Attempt> {
  const secret = `${outside}/secret`;
  return {
    "read a file outside": () => Deno.readTextFile(secret),
    "read a file through ..": () => Deno.readTextFile(`${directory}/../secret`),
    "read a directory outside": () => Array.from(Deno.readDirSync(outside)),
    "look at a file outside": () => Deno.lstat(secret),
    "resolve a path outside": () => Deno.realPath(secret),
    "watch outside": () => Deno.watchFs(outside).close(),
    "read /proc": () => Deno.readTextFile("/proc/self/environ"),
    "read by node:fs": async () => (await node("node:fs")).readFileSync(secret),
    "write a file outside": () => Deno.writeTextFile(`${outside}/new`, "x"),
    "write by node:fs": async () => (await node("node:fs")).writeFileSync(`${outside}/new`, "x"),
    "make a directory outside": () => Deno.mkdir(`${outside}/made`),
    "make a temporary file": () => Deno.makeTempFile(),
    "change a mode outside": () => Deno.chmod(secret, 0o777),
    "remove a file outside": () => Deno.remove(secret),
    "move a file in": () => Deno.rename(secret, `${directory}/secret`),
    "move a file out": () => Deno.rename(`${directory}/inside.js`, `${outside}/moved`),
    "copy a file in": () => Deno.copyFile(secret, `${directory}/copy`),
    "link to a file outside": () => Deno.link(secret, `${directory}/hard`),
    "point to a file outside": () => Deno.symlink(secret, `${directory}/soft`),
    "open the database of the program": async () => (await Deno.openKv()).close(),
    "open the local storage": () => localStorage.setItem("probe", "1"),
    "open a cache": async () => void await caches.open("probe"),
    "open a database outside": async () => (await Deno.openKv(`${outside}/kv`)).close(),
  };
}

function networks({ directory, outside }: ProbePlaces): Record<string, Attempt> {
  return {
    "connect by TCP": async () => (await Deno.connect({ hostname: "127.0.0.1", port: 8 })).close(),
    "listen by TCP": () => Deno.listen({ hostname: "127.0.0.1", port: 0 }).close(),
    // Needs --unstable-net, or it is no function and proves nothing.
    "listen by UDP": () =>
      Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 }).close(),
    "connect by TLS": async () =>
      (await Deno.connectTls({ hostname: "127.0.0.1", port: 8 })).close(),
    "resolve a name": () => Deno.resolveDns("localhost", "A"),
    "fetch": () => fetch("http://127.0.0.1:8/"),
    "open a WebSocket": () => new WebSocket("ws://127.0.0.1:8/").close(),
    "serve HTTP": () =>
      Deno.serve({ port: 0, hostname: "127.0.0.1" }, () => new Response()).shutdown(),
    "connect to another socket": async () =>
      (await Deno.connect({ transport: "unix", path: `${outside}/other.sock` })).close(),
    "listen on another socket in the directory": () =>
      Deno.listen({ transport: "unix", path: `${directory}/another.sock` }).close(),
    "listen on a socket outside": () =>
      Deno.listen({ transport: "unix", path: `${outside}/mine.sock` }).close(),
    "connect by node:net": async () => {
      const { connect } = await node("node:net");
      return await new Promise((resolve, reject) => {
        connect(8, "127.0.0.1").on("connect", resolve).on("error", reject);
      });
    },
  };
}

function machine({ directory, outside }: ProbePlaces): Record<string, Attempt> {
  return {
    "read the environment": () => Deno.env.toObject(),
    "read one variable": () => Deno.env.get("HOME"),
    "write the environment": () => Deno.env.set("POSTERN_PROBE", "1"),
    "run a program": () => new Deno.Command("true").outputSync(),
    "run by node:child_process": async () => {
      const { error } = (await node("node:child_process")).spawnSync("true");
      if (error) throw error;
    },
    "signal a process": () => Deno.kill(Deno.ppid, "SIGCONT"),
    "load a library": () => Deno.dlopen("libc.so.6", {}).close(),
    "ask the host's name": () => Deno.hostname(),
    "ask the user": () => Deno.uid(),
    "ask the system's version": () => Deno.osRelease(),
    "ask the networks": () => Deno.networkInterfaces(),
    "ask the load": () => Deno.loadavg(),
    "set the umask": () => Deno.umask(0o022),
    "ask for a right": () => Deno.permissions.requestSync({ name: "env" }).state,
    "start a Worker with more rights": () =>
      new Worker(`data:application/javascript,`, {
        type: "module",
        deno: { permissions: { read: true } },
      }).terminate(),
    "start a Worker from outside": () => fromWorker(`file://${outside}/outside.js`),
    "start a Worker from the directory": () => fromWorker(`file://${directory}/inside.js`),
  };
}

function imports({ directory, outside }: ProbePlaces): Record<string, Attempt> {
  const load = (specifier: string) => import(specifier);
  return {
    "import over http": () => load("http://127.0.0.1:8/mod.js"),
    "import over https": () => load("https://localhost/mod.js"),
    "import a file outside": () => load(`file://${outside}/outside.js`),
    "import a file that imports one outside": () => load(`file://${directory}/leading.js`),
    "import a file of the directory": () => load(`file://${directory}/inside.js`),
    "import from npm": () => load("npm:left-pad@1.3.0"),
  };
}

// deno-lint-ignore no-explicit-any
function node(name: string): Promise<any> {
  return import(name);
}

/** What a second Worker, which inherits the rights, says: an error, or that it runs. */
async function fromWorker(url: string): Promise<void> {
  const worker = new Worker(url, { type: "module" });
  try {
    await new Promise<void>((resolve, reject) => {
      worker.onmessage = () => resolve();
      worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
    });
  } finally {
    worker.terminate();
  }
}
