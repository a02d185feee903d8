/** A file system of this process, in the protocol of linux/fuse.h: nothing of it is remembered by the kernel, and reads end where it says. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, read, writeSync } from 'node:fs';
import { constants } from 'node:os';

/** What an operation is refused with. */
export class Errno extends Error {
  override readonly name: keyof typeof constants.errno;
  constructor(name: keyof typeof constants.errno) {
    super(name);
    this.name = name;
  }
}

export interface Attributes {
  directory: boolean;
  mode: number;
  size: number;
}

/** Paths begin with a slash; `handle` is one open file. Each call may throw an Errno. */
export interface FileSystem {
  attributes(path: string): Attributes | undefined;
  list(path: string): string[];
  read(path: string, handle: number, offset: number, size: number): Buffer;
  write(path: string, handle: number, offset: number, data: Buffer): number;
  removeDirectory(path: string): void;
  opened(path: string, handle: number): void;
  closed(path: string, handle: number): void;
  /** What poll(2) says of it: POLLIN 1, POLLOUT 4. */
  poll(path: string, handle: number): number;
}

const REQUEST_BYTES = (1 << 20) + (1 << 16);
const INIT = 26;
/** FORGET, INTERRUPT, BATCH_FORGET. */
const NO_ANSWER = [2, 36, 42];
const DIRECT_IO = 1;
const NOTIFY_POLL = 1;
const BIG_WRITES = 1 << 5;
const MAX_PAGES = 1 << 22;

type Body = Buffer | undefined;
interface Request {
  path: string;
  node: bigint;
  body: Buffer;
}

export class FuseServer {
  readonly #device = openSync('/dev/fuse', 'r+');
  readonly #files: FileSystem;
  readonly #paths = new Map<bigint, string>([[1n, '/']]);
  readonly #nodes = new Map<string, bigint>([['/', 1n]]);
  readonly #polls = new Map<number, bigint>();
  #handles = 0;
  readonly ended: Promise<void>;

  constructor(files: FileSystem) {
    this.#files = files;
    this.ended = this.#serve();
  }

  async mount(path: string): Promise<void> {
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other';
    const mount = spawn('mount', ['-i', '-t', 'fuse', '-o', options, 'multikernel-model', path], {
      stdio: ['ignore', 'ignore', 'inherit', this.#device],
    });
    const [code] = await once(mount, 'close');
    if (code !== 0) throw new Error(`mount: ${code}`);
  }

  /** Who waits for this handle may look again. */
  wake(handle: number): void {
    const waiter = this.#polls.get(handle);
    if (waiter === undefined) return;
    const message = Buffer.alloc(24);
    message.writeUInt32LE(24, 0);
    message.writeInt32LE(NOTIFY_POLL, 4);
    message.writeBigUInt64LE(waiter, 16);
    try {
      writeSync(this.#device, message);
    } catch {
      // Nobody waits any more.
    }
  }

  async #serve(): Promise<void> {
    const buffer = Buffer.alloc(REQUEST_BYTES);
    for (;;) {
      const count = await new Promise<number | string>((resolve) => {
        read(this.#device, buffer, 0, buffer.length, null, (error, bytes) => resolve(error?.code ?? bytes));
      });
      if (count === 'ENODEV') break;
      // EPERM until it is mounted, ENOENT for what was given up, EINTR.
      if (typeof count === 'string') await new Promise((resolve) => setTimeout(resolve, 2));
      else this.#answer(buffer.subarray(0, count));
    }
    closeSync(this.#device);
  }

  #answer(request: Buffer): void {
    const opcode = request.readUInt32LE(4);
    if (NO_ANSWER.includes(opcode)) return;
    const node = request.readBigUInt64LE(16);
    let error = 0;
    let body: Body;
    try {
      const path = opcode === INIT ? '/' : this.#paths.get(node);
      if (path === undefined) throw new Errno('ENOENT');
      body = this.#reply(opcode, { path, node, body: Buffer.from(request.subarray(40)) });
    } catch (failure) {
      if (!(failure instanceof Errno)) throw failure;
      error = -constants.errno[failure.name];
    }
    const head = Buffer.alloc(16);
    head.writeUInt32LE(16 + (body?.length ?? 0), 0);
    head.writeInt32LE(error, 4);
    request.copy(head, 8, 8, 16);
    try {
      writeSync(this.#device, Buffer.concat([head, body ?? Buffer.alloc(0)]));
    } catch (failure) {
      // ENOENT: who asked was interrupted.
      if ((failure as NodeJS.ErrnoException).code !== 'ENOENT') throw failure;
    }
  }

  #reply(opcode: number, { path, node, body }: Request): Body {
    const files = this.#files;
    const child = () => this.#below(path, text(body));
    switch (opcode) {
      case INIT: {
        const out = Buffer.alloc(64);
        out.writeUInt32LE(7, 0);
        out.writeUInt32LE(31, 4);
        out.writeUInt32LE(BIG_WRITES | MAX_PAGES, 12);
        out.writeUInt32LE(1 << 20, 20);
        out.writeUInt32LE(1, 24);
        out.writeUInt16LE(256, 28);
        return out;
      }
      case 1: // LOOKUP
        return this.#entry(child());
      case 3: // GETATTR
      case 4: // SETATTR
        return Buffer.concat([Buffer.alloc(16), this.#attributes(path, node)]);
      case 9: // MKDIR
      case 35: // CREATE
      case 10: // UNLINK
        throw new Errno('EPERM');
      case 11: // RMDIR
        return void files.removeDirectory(child());
      case 14: // OPEN
      case 27: {
        const out = Buffer.alloc(16);
        const handle = ++this.#handles;
        if (opcode === 14) files.opened(path, handle);
        out.writeUInt32LE(handle, 0);
        out.writeUInt32LE(opcode === 14 ? DIRECT_IO : 0, 8);
        return out;
      }
      case 15: // READ
        return files.read(path, body.readUInt32LE(0), Number(body.readBigUInt64LE(8)), body.readUInt32LE(16));
      case 16: {
        const data = body.subarray(40, 40 + body.readUInt32LE(16));
        const out = Buffer.alloc(8);
        out.writeUInt32LE(files.write(path, body.readUInt32LE(0), Number(body.readBigUInt64LE(8)), data), 0);
        return out;
      }
      case 17: // STATFS
        return Buffer.alloc(80);
      case 18: // RELEASE
        this.#polls.delete(body.readUInt32LE(0));
        return void files.closed(path, body.readUInt32LE(0));
      case 25: // FLUSH
      case 29: // RELEASEDIR
        return undefined;
      case 28:
        return this.#directory(path, Number(body.readBigUInt64LE(8)));
      case 40: {
        const handle = body.readUInt32LE(0);
        if (body.readUInt32LE(16) & 1) this.#polls.set(handle, body.readBigUInt64LE(8));
        const out = Buffer.alloc(8);
        out.writeUInt32LE(files.poll(path, handle), 0);
        return out;
      }
      default:
        throw new Errno('ENOSYS');
    }
  }

  #below(path: string, name: string): string {
    return path === '/' ? `/${name}` : `${path}/${name}`;
  }

  #entry(path: string): Buffer {
    const node = this.#nodes.get(path) ?? BigInt(this.#nodes.size + 1);
    const attributes = this.#attributes(path, node);
    this.#nodes.set(path, node);
    this.#paths.set(node, path);
    const entry = Buffer.alloc(40);
    entry.writeBigUInt64LE(node, 0);
    return Buffer.concat([entry, attributes]);
  }

  #attributes(path: string, node: bigint): Buffer {
    const found = this.#files.attributes(path);
    if (found === undefined) throw new Errno('ENOENT');
    const bytes = Buffer.alloc(88);
    bytes.writeBigUInt64LE(node, 0);
    bytes.writeBigUInt64LE(BigInt(found.size), 8);
    bytes.writeUInt32LE(found.mode | (found.directory ? 0o40000 : 0o100000), 60);
    bytes.writeUInt32LE(1, 64);
    return bytes;
  }

  #directory(path: string, offset: number): Buffer {
    const entries = ['.', '..', ...this.#files.list(path)].map((name, index) => {
      const bytes = Buffer.from(name);
      const entry = Buffer.alloc(24 + Math.ceil(bytes.length / 8) * 8);
      entry.writeBigUInt64LE(BigInt(index + 2), 0);
      entry.writeBigUInt64LE(BigInt(index + 1), 8);
      entry.writeUInt32LE(bytes.length, 16);
      bytes.copy(entry, 24);
      return entry;
    });
    const page: Buffer[] = [];
    for (let bytes = 0, at = offset; at < entries.length && bytes + entries[at]!.length <= 4096; at++) {
      page.push(entries[at]!);
      bytes += entries[at]!.length;
    }
    return Buffer.concat(page);
  }
}

/** Up to its NUL. */
const text = (bytes: Buffer): string => bytes.toString('utf8', 0, bytes.indexOf(0));
