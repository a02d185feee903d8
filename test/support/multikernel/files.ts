/** What is mounted: the kernel's own file system as `fs`, and beside it the other files that a driver looks at. */
import type { Consoles } from './consoles.ts';
import { type Attributes, Errno, type FileSystem } from './fuse.ts';
import type { KernelModel } from './model.ts';
import { applyBaseline, applyOverlay, rollBack, type Transaction } from './transactions.ts';
import { cpuinfo, instanceTree, iomem, poolTree } from './trees.ts';

const PAGE = 4096;
const MOST = 2 ** 20;

interface File {
  mode: number;
  content(): Buffer;
  write?(offset: number, data: Buffer): number;
  /** A page at a time, made anew for each. */
  paged?: boolean;
  stated?: number;
}

const line = (text: string | number): Buffer => Buffer.from(`${text}\n`);

export class Files implements FileSystem {
  readonly #model: KernelModel;
  readonly #consoles: Consoles;
  readonly #transactions = new Map<number, Transaction>();
  #last = 1;
  /** How often somebody has undone a transaction. */
  rolledBack = 0;

  constructor(model: KernelModel, consoles: Consoles) {
    this.#model = model;
    this.#consoles = consoles;
  }

  attributes(path: string): Attributes | undefined {
    if (this.#directory(path) !== undefined) return { directory: true, mode: 0o755, size: 0 };
    const file = this.#file(path);
    if (file === undefined) return undefined;
    const size = this.#model.switches.statSizes ? (file.stated ?? 0) : file.content().length;
    return { directory: false, mode: file.mode, size };
  }

  list(path: string): string[] {
    const names = this.#directory(path);
    if (names === undefined) throw new Errno('ENOTDIR');
    return names;
  }

  opened(path: string, handle: number): void {
    if (path === '/mktty') this.#consoles.opened(handle);
  }

  closed(path: string, handle: number): void {
    if (path === '/mktty') this.#consoles.closed(handle);
  }

  read(path: string, handle: number, offset: number, size: number): Buffer {
    if (path === '/mktty') return this.#consoles.read(handle, size);
    const file = this.#file(path);
    if (file === undefined) throw new Errno('ENODEV');
    let content = file.content();
    // As one that is made anew while it is read, and was shorter.
    if (path.endsWith('/device_tree') && this.#model.fails('tear')) content = content.subarray(0, -8);
    return content.subarray(offset, offset + (file.paged ? Math.min(size, PAGE) : size));
  }

  write(path: string, handle: number, offset: number, data: Buffer): number {
    if (path === '/mktty') return this.#consoles.write(handle, data);
    const file = this.#file(path);
    if (file?.write === undefined) throw new Errno('EPERM');
    if (this.#model.fails('write')) throw new Errno('ENOMEM');
    return file.write(offset, data);
  }

  poll(path: string, handle: number): number {
    return path === '/mktty' ? this.#consoles.poll(handle) : 5;
  }

  removeDirectory(path: string): void {
    const [, number] = /^\/fs\/overlays\/tx_(\d+)$/.exec(path) ?? [];
    if (number === undefined) throw new Errno('EPERM');
    const transaction = this.#transactions.get(Number(number));
    if (transaction === undefined) throw new Errno('ENOENT');
    transaction.status = 'failed';
    this.rolledBack++;
    rollBack(this.#model, transaction);
    this.#transactions.delete(Number(number));
  }

  #directory(path: string): string[] | undefined {
    const { instances, switches } = this.#model;
    if (path === '/') return ['fs', 'mktty', 'iomem', 'cpuinfo'];
    if (path === '/fs') return ['device_tree', 'instances', 'overlays'];
    if (path === '/fs/instances') return [...instances.keys()];
    if (path === '/fs/overlays') return ['new', ...[...this.#transactions.keys()].map((id) => `tx_${id}`)];
    const [, instance] = /^\/fs\/instances\/([^/]+)$/.exec(path) ?? [];
    if (instance !== undefined && instances.has(instance)) return ['id', 'status', 'device_tree'];
    const [, number] = /^\/fs\/overlays\/tx_(\d+)$/.exec(path) ?? [];
    if (number === undefined || !this.#transactions.has(Number(number))) return undefined;
    return ['id', 'status', 'instance', 'resources', 'dtbo', ...(switches.reasonFile ? ['reason'] : [])];
  }

  #file(path: string): File | undefined {
    const model = this.#model;
    switch (path) {
      case '/mktty':
        return { mode: 0o600, content: () => Buffer.alloc(0) };
      case '/iomem':
        return { mode: 0o400, content: () => Buffer.from(iomem(model)) };
      case '/cpuinfo':
        return { mode: 0o444, content: () => Buffer.from(cpuinfo(model)) };
      case '/fs/device_tree':
        return {
          mode: 0o644,
          stated: MOST,
          content: () => poolTree(model),
          write: (offset, data) => {
            if (offset !== 0) throw new Errno('EINVAL');
            if (data.length > MOST) throw new Errno('E2BIG');
            applyBaseline(model, data);
            return data.length;
          },
        };
      case '/fs/overlays/new':
        return { mode: 0o200, content: () => Buffer.alloc(0), write: (offset, data) => this.#overlay(offset, data) };
    }
    return this.#instanceFile(path) ?? this.#transactionFile(path);
  }

  #overlay(offset: number, data: Buffer): number {
    if (offset !== 0 || data.length === 0) throw new Errno('EINVAL');
    if (data.length > MOST) throw new Errno('EFBIG');
    const given = this.#model.switches.onePage ? data.subarray(0, PAGE) : data;
    if (given.length < 40 || given.readUInt32BE() !== 0xd00dfeed) throw new Errno('EINVAL');
    const theirs = this.#model.fails('foreign');
    if (theirs) this.#foreign(given);
    const id = ++this.#last;
    this.#transactions.set(id, applyOverlay(this.#model, id, Buffer.from(given)));
    if (theirs) this.#foreign(given);
    return given.length;
  }

  /** As long as ours, and done. */
  #foreign(ours: Buffer): void {
    const id = ++this.#last;
    const dtbo = Buffer.from(ours);
    dtbo[dtbo.length - 1]! ^= 1;
    this.#transactions.set(id, { id, status: 'applied', target: 'unknown', dtbo, reason: '' });
  }

  #instanceFile(path: string): File | undefined {
    const [, name, which] = /^\/fs\/instances\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    const instance = this.#model.instances.get(name ?? '');
    if (instance === undefined) return undefined;
    if (which === 'id') return { mode: 0o444, content: () => line(instance.id) };
    if (which === 'status') return { mode: 0o444, content: () => line(instance.status) };
    if (which !== 'device_tree') return undefined;
    const paged = this.#model.switches.pageReads;
    return { mode: 0o444, paged, content: () => instanceTree(this.#model, instance) };
  }

  #transactionFile(path: string): File | undefined {
    const [, number, which] = /^\/fs\/overlays\/tx_(\d+)\/([^/]+)$/.exec(path) ?? [];
    const transaction = this.#transactions.get(Number(number));
    if (transaction === undefined) return undefined;
    const texts: Record<string, string | number | undefined> = {
      id: transaction.id,
      status: transaction.status,
      instance: transaction.target,
      resources: 'unknown',
      reason: this.#model.switches.reasonFile ? transaction.reason : undefined,
    };
    if (which === 'dtbo')
      return { mode: 0o444, paged: this.#model.switches.pageReads, content: () => transaction.dtbo };
    const text = texts[which ?? ''];
    return text === undefined ? undefined : { mode: 0o444, content: () => line(text) };
  }
}
