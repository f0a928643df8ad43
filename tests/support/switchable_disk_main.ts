/**
 * A file system in this process's memory, mounted by FUSE, that can be switched to read-only and back while files on
 * it are open: while there is a file `READ_ONLY` in its root, every change is refused with EROFS by the file system
 * itself. `deno run -A switchable_disk_main.ts <mount point>`; it says `mounted`, and ends when it is unmounted.
 *
 * Just enough of the protocol (7.31) for a daemon's directory: nothing that was removed is freed.
 */

/** While it is there, all else is read-only. */
export const READ_ONLY = "read-only";

const [ENOENT, EEXIST, ENOTEMPTY, EROFS, ENOSYS] = [2, 17, 39, 30, 38];
const [S_IFMT, S_IFDIR, S_IFREG] = [0o170000, 0o040000, 0o100000];
const BUFFER_BYTES = 1024 * 1024 + 4096;
const MAX_WRITE_BYTES = 128 * 1024;
const VALID_SECS = 3600n;
const O_ACCMODE = 3;

interface Node {
  readonly id: bigint;
  mode: number;
  uid: number;
  gid: number;
  mtimeMs: number;
  size: number;
  data: Uint8Array;
  readonly children: Map<string, Node>;
}

class Refusal {
  constructor(readonly errno: number) {}
}

/** One request, as the kernel puts it. */
class Request {
  readonly view: DataView;
  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  u32 = (at: number) => this.view.getUint32(40 + at, true);
  u64 = (at: number) => this.view.getBigUint64(40 + at, true);
  get opcode(): number {
    return this.view.getUint32(4, true);
  }
  get unique(): bigint {
    return this.view.getBigUint64(8, true);
  }
  get node(): Node {
    return nodes.get(this.view.getBigUint64(16, true))!;
  }
  get uid(): number {
    return this.view.getUint32(24, true);
  }
  get gid(): number {
    return this.view.getUint32(28, true);
  }
  /** The texts that end in a zero, from there on. */
  names(at: number): string[] {
    return new TextDecoder().decode(this.bytes.subarray(40 + at)).split("\0");
  }
}

const nodes = new Map<bigint, Node>();
const root = makeNode(S_IFDIR | 0o700, 0, 0);

function makeNode(mode: number, uid: number, gid: number): Node {
  const id = BigInt(nodes.size + 1);
  const empty = new Uint8Array();
  const node = {
    id,
    mode,
    uid,
    gid,
    mtimeMs: Date.now(),
    size: 0,
    data: empty,
    children: new Map(),
  };
  nodes.set(id, node);
  return node;
}

function requireWritable(name?: string): void {
  if (root.children.has(READ_ONLY) && name !== READ_ONLY) throw new Refusal(EROFS);
}

function childOf(node: Node, name: string): Node {
  const child = node.children.get(name);
  if (child === undefined) throw new Refusal(ENOENT);
  return child;
}

function add(request: Request, mode: number, name: string): Node {
  requireWritable(name);
  if (request.node.children.has(name)) throw new Refusal(EEXIST);
  const node = makeNode(mode, request.uid, request.gid);
  request.node.children.set(name, node);
  return node;
}

function remove(request: Request): void {
  const [name = ""] = request.names(0);
  requireWritable(name);
  if (childOf(request.node, name).children.size > 0) throw new Refusal(ENOTEMPTY);
  request.node.children.delete(name);
}

function rename(request: Request, namesAt: number): void {
  requireWritable();
  const [from = "", to = ""] = request.names(namesAt);
  const node = childOf(request.node, from);
  request.node.children.delete(from);
  nodes.get(request.u64(0))!.children.set(to, node);
}

function resize(node: Node, size: number): void {
  if (size > node.data.length) {
    const grown = new Uint8Array(Math.max(size, node.data.length * 2));
    grown.set(node.data);
    node.data = grown;
  }
  if (size < node.size) node.data.fill(0, size, node.size);
  node.size = size;
}

function write(request: Request): Uint8Array {
  requireWritable();
  const { node } = request;
  const [offset, size] = [Number(request.u64(8)), request.u32(16)];
  if (offset + size > node.size) resize(node, offset + size);
  node.data.set(request.bytes.subarray(80, 80 + size), offset);
  node.mtimeMs = Date.now();
  return packed([4, size], [4, 0]);
}

function setAttributes(request: Request): Uint8Array {
  requireWritable();
  const { node } = request;
  const valid = request.u32(0);
  if (valid & 1) node.mode = (node.mode & S_IFMT) | (request.u32(68) & 0o7777);
  if (valid & 2) node.uid = request.u32(76);
  if (valid & 4) node.gid = request.u32(80);
  if (valid & 8) resize(node, Number(request.u64(16)));
  if (valid & 32) node.mtimeMs = Number(request.u64(40)) * 1000;
  return joined(packed([8, VALID_SECS], [8, 0]), attributesOf(node));
}

function open(request: Request): Uint8Array {
  if ((request.u32(0) & O_ACCMODE) !== 0) requireWritable();
  return packed([8, 0], [8, 0]);
}

function list(request: Request): Uint8Array {
  const entries = [...request.node.children].slice(Number(request.u64(8)));
  let reply = new Uint8Array();
  let offset = Number(request.u64(8));
  for (const [name, { id, mode }] of entries) {
    const text = new TextEncoder().encode(name);
    const entry = new Uint8Array(Math.ceil((24 + text.length) / 8) * 8);
    entry.set(packed([8, id], [8, ++offset], [4, text.length], [4, (mode & S_IFMT) >> 12]));
    entry.set(text, 24);
    if (reply.length + entry.length > request.u32(16)) break;
    reply = joined(reply, entry);
  }
  return reply;
}

/** What each request comes to, by its opcode; a file system need not know the others. */
const HANDLERS: Record<number, (request: Request) => Uint8Array | void> = {
  1: (request) => entryOf(childOf(request.node, request.names(0)[0]!)),
  3: ({ node }) => joined(packed([8, VALID_SECS], [8, 0]), attributesOf(node)),
  4: setAttributes,
  8: (request) => entryOf(add(request, request.u32(0), request.names(16)[0]!)),
  9: (request) => entryOf(add(request, S_IFDIR | request.u32(0), request.names(8)[0]!)),
  10: remove,
  11: remove,
  12: (request) => rename(request, 8),
  14: open,
  15: (request) => {
    const offset = Number(request.u64(8));
    return request.node.data.subarray(
      offset,
      Math.min(offset + request.u32(16), request.node.size),
    );
  },
  16: write,
  17: () =>
    packed(...Array.from({ length: 5 }, () => [8, 1 << 20] as Field), [4, 4096], [4, 255], [
      4,
      4096,
    ], ...Array.from({ length: 7 }, () => [4, 0] as Field)),
  18: () => {},
  20: () => {},
  26: () =>
    packed(
      [4, 7],
      [4, 31],
      [4, 0],
      [4, 0],
      [4, 0],
      [4, MAX_WRITE_BYTES],
      [4, 1],
      [4, 0],
      [8, 0],
      [
        8,
        0,
      ],
      [8, 0],
      [8, 0],
    ),
  27: () => packed([8, 0], [8, 0]),
  28: list,
  29: () => {},
  30: () => {},
  35: (request) => {
    const node = add(request, S_IFREG | request.u32(4) & 0o7777, request.names(16)[0]!);
    return joined(entryOf(node), packed([8, 0], [8, 0]));
  },
  45: (request) => rename(request, 16),
};
/** Nobody waits for an answer to these. */
const UNANSWERED: ReadonlySet<number> = new Set([2, 36, 42]);

function entryOf(node: Node): Uint8Array {
  const head = packed([8, node.id], [8, 0], [8, VALID_SECS], [8, VALID_SECS], [8, 0]);
  return joined(head, attributesOf(node));
}

function attributesOf({ id, mode, uid, gid, mtimeMs, size }: Node): Uint8Array {
  const secs = Math.floor(mtimeMs / 1000);
  const nlink = (mode & S_IFMT) === S_IFDIR ? 2 : 1;
  return packed(
    ...[id, size, Math.ceil(size / 512), secs, secs, secs].map((value): Field => [8, value]),
    ...[0, 0, 0, mode, nlink, uid, gid, 0, 4096, 0].map((value): Field => [4, value]),
  );
}

/** A number and the bytes it takes. */
type Field = readonly [bytes: 4 | 8, value: number | bigint];

function packed(...fields: Field[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 8) view.setBigUint64(at, BigInt(value), true);
    else view.setUint32(at, Number(value), true);
    at += bytes;
  }
  return new Uint8Array(view.buffer);
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

function answerTo(request: Request): Uint8Array<ArrayBuffer> {
  let [errno, body]: [number, Uint8Array] = [0, new Uint8Array()];
  try {
    const handler = HANDLERS[request.opcode];
    if (handler === undefined) throw new Refusal(ENOSYS);
    body = handler(request) ?? body;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    errno = error.errno;
  }
  const head = packed([4, 16 + body.length], [4, -errno >>> 0], [8, request.unique]);
  return joined(head, body);
}

function main(mountPoint: string): void {
  const { symbols: libc } = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
    mount: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  });
  const text = (value: string) => new TextEncoder().encode(`${value}\0`);
  const fd = libc.open(text("/dev/fuse"), 2);
  const options = text(`fd=${fd},rootmode=40000,user_id=0,group_id=0`);
  if (libc.mount(text("postern"), text(mountPoint), text("fuse"), 0n, options) !== 0) {
    throw new Error("it cannot be mounted");
  }
  console.log("mounted");
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    const count = Number(libc.read(fd, buffer, BigInt(buffer.length)));
    if (count <= 0) return;
    const request = new Request(buffer.subarray(0, count));
    if (UNANSWERED.has(request.opcode)) continue;
    const answer = answerTo(request);
    libc.write(fd, answer, BigInt(answer.length));
  }
}

if (import.meta.main) main(Deno.args[0]!);
