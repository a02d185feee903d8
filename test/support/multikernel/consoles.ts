/** /dev/mktty: one line to each instance's console. What nobody reads in time is dropped. */
import { Errno } from './fuse.ts';

/** Kept for each open file. */
const UNREAD_BYTES = 16 * 1024;
const MESSAGE_BYTES = 4080;
/** Messages in the ring towards an instance. */
const RING = 64;

interface Open {
  id: number | undefined;
  unread: Buffer;
}

interface Hooks {
  isKnown(id: number): boolean;
  /** False when the ring is full. */
  toKernel(id: number, data: Buffer): boolean;
  wake(handle: number): void;
}

export class Consoles {
  readonly #open = new Map<number, Open>();
  readonly #hooks: Hooks;
  /** Bytes that were dropped because nobody read in time. */
  dropped = 0;

  constructor(hooks: Hooks) {
    this.#hooks = hooks;
  }

  opened(handle: number): void {
    this.#open.set(handle, { id: undefined, unread: Buffer.alloc(0) });
  }

  closed(handle: number): void {
    this.#open.delete(handle);
  }

  read(handle: number, size: number): Buffer {
    const file = this.#open.get(handle)!;
    if (file.id === undefined) throw new Errno('ENOTCONN');
    if (file.unread.length === 0) throw new Errno('EAGAIN');
    const data = file.unread.subarray(0, size);
    file.unread = file.unread.subarray(data.length);
    return data;
  }

  write(handle: number, data: Buffer): number {
    const file = this.#open.get(handle)!;
    if (file.id === undefined) {
      const [, digits] = /^(\d+)\n?$/.exec(data.toString('latin1')) ?? [];
      const id = Number(digits);
      if (digits === undefined || id < 1) throw new Errno('EINVAL');
      if (id > 0x7fff_ffff) throw new Errno('ERANGE');
      if (!this.#hooks.isKnown(id)) throw new Errno('ENODEV');
      file.id = id;
      return data.length;
    }
    let sent = 0;
    for (let message = 0; message < RING && sent < data.length; message++) {
      const part = data.subarray(sent, sent + MESSAGE_BYTES);
      if (!this.#hooks.toKernel(file.id, Buffer.from(part))) break;
      sent += part.length;
    }
    if (sent === 0 && data.length > 0) throw new Errno('ENOSPC');
    return sent;
  }

  poll(handle: number): number {
    const file = this.#open.get(handle)!;
    return (file.unread.length > 0 ? 1 : 0) | 4;
  }

  /** What an instance writes on its console: for the file that was opened last, or nobody. */
  said(id: number, data: Buffer): void {
    const last = [...this.#open].filter(([, file]) => file.id === id).at(-1);
    if (last === undefined) return;
    const [handle, file] = last;
    const kept = data.subarray(0, Math.max(0, UNREAD_BYTES - file.unread.length));
    this.dropped += data.length - kept.length;
    file.unread = Buffer.concat([file.unread, kept]);
    this.#hooks.wake(handle);
  }
}
