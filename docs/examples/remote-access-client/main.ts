/** A client in plain AimX: lists the records of a program, reads one, and prints so many updates of it. No library. */

const [path = "/tmp/postern-example.sock", name = "SensorData", count = "3"] = Deno.args;
const token = Deno.env.get("AIMX_TOKEN");

const connection = await Deno.connect({ transport: "unix", path });
const received = linesOf(connection);
const events: { data: unknown; dropped?: number }[] = [];
let lastId = 0;

const { welcome } = await ask({
  hello: { version: "1.0", client: "example/1", auth_token: token },
});
console.log(`${welcome.server} grants ${welcome.permissions.join(", ")}`);
for (const record of await call("record.list")) {
  console.log(`record ${record.name}: ${record.buffer_type} of ${record.buffer_capacity}`);
}
console.log(`${name} is`, JSON.stringify((await call("record.get", { name })).value));
const { subscription_id } = await call("record.subscribe", { name, send_initial: false });
for (let left = Number(count); left > 0; left--) {
  const { data, dropped = 0 } = events.shift() ?? (await nextLine()).event;
  console.log("update", JSON.stringify(data), dropped > 0 ? `after ${dropped} dropped ones` : "");
}
await call("record.unsubscribe", { subscription_id });
connection.close();

// deno-lint-ignore no-explicit-any
type Json = any;

async function call(method: string, params: object = {}): Promise<Json> {
  return (await ask({ id: ++lastId, method, params })).result;
}

/** Sends one line and returns its answer; updates that come before it are kept. */
async function ask(request: object): Promise<Json> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(request)}\n`);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  for (;;) {
    const line = await nextLine();
    if (line.error) throw new Error(`${line.error.code}: ${line.error.message}`);
    if (!line.event) return line;
    events.push(line.event);
  }
}

async function nextLine(): Promise<Json> {
  const { value, done } = await received.next();
  if (done) throw new Error("the program hung up");
  return JSON.parse(value);
}

async function* linesOf({ readable }: Deno.Conn): AsyncGenerator<string> {
  let text = "";
  for await (const part of readable.pipeThrough(new TextDecoderStream())) {
    const lines = (text + part).split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}
