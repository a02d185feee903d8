/**
 * The host kernel's pool as launches fill and empty it: CPUs by their physical ids, and for each kernel a chunk of memory of its own, since
 * only whole chunks go back. What another program has brought there is left as it is. A baseline that fails leaves what it got to; the rest
 * comes by overlays.
 */
import { readFileSync } from 'node:fs';
import type { Change, MemoryRange, PoolState } from '../../devicetree/multikernel/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { formatBytes } from '../../sys/units.ts';
import { attempt, converge } from './converge.ts';
import type { MultikernelHost } from './host.ts';
import type { KernelFiles } from './interface.ts';
import { largestGap, parseIomem } from './iomem.ts';
import type { Brought, BroughtStore } from './record.ts';

const MIB = 2 ** 20;
/** Park area, page tables and control blocks come out of a chunk too: 96 KiB of 16 GiB were seen. */
const CHUNK_SLACK = 8 * MIB;
const SLACK =
  'The host kernel keeps page tables and control blocks in its pool too, so that two kernels of 8 GiB do not fit 16 GiB.';
/** Chunks begin and end with large pages. */
const ALIGN = 2 * MIB;

/** Of a chunk that has room for an instance of `bytes`. */
export const chunkBytes = (bytes: number): number => Math.ceil((bytes + bytes / 512 + CHUNK_SLACK) / ALIGN) * ALIGN;

type Host = Pick<MultikernelHost, 'pause' | 'iomem'>;

export class HostPool {
  readonly #files: KernelFiles;
  readonly #host: Host;
  readonly #store: BroughtStore;

  constructor(files: KernelFiles, host: Host, store: BroughtStore) {
    this.#files = files;
    this.#host = host;
    this.#store = store;
  }

  /** Brings those of the CPUs that are not there, and a chunk of `bytes`, which it gives. Rejects with `unavailable`; part of it may be there then. */
  async fill(cpus: readonly number[], bytes: number, node: number): Promise<MemoryRange> {
    const files = this.#files;
    const pool = files.pool();
    const wanted = { bytes, node };
    const brought = this.#settled(pool);
    const missing = cpus.filter((cpu) => !pool.exists || !pool.cpus.includes(cpu));
    const coming = { bytes: wanted.bytes, before: pool.chunks.map(({ base }) => base) };
    this.#store.write({ ...brought, cpus: [...new Set([...brought.cpus, ...missing])], coming });
    if (!pool.exists) {
      const last = await attempt(() => files.baseline({ cpus: missing, memory: [wanted] }));
      // Nothing at all came of it: a change of a pool that is not there would only be refused.
      if (last !== undefined && !files.pool().exists) throw unavailable(last.message);
    }
    const difference = (): Change[] => {
      const now = files.pool();
      const addCpus = missing.filter((cpu) => !now.cpus.includes(cpu));
      const addMemory = arrived(now, coming) === undefined ? [wanted] : [];
      return addCpus.length + addMemory.length === 0 ? [] : [{ target: 'pool', addCpus, addMemory }];
    };
    await converge(files, this.#host, 'making the pool larger', difference).catch((error: PolykernelError) => {
      throw unavailable(error.message);
    });
    const filled = files.pool();
    this.#store.write(this.#settled(filled));
    return arrived(filled, coming)!;
  }

  /** Brings those of the CPUs that are not there. Rejects with `unavailable`; some may be there then. */
  async bringCpus(cpus: readonly number[]): Promise<void> {
    const lacking = () => {
      const there = this.#files.pool().cpus;
      return cpus.filter((cpu) => !there.includes(cpu));
    };
    const missing = lacking();
    if (missing.length === 0) return;
    const brought = this.#settled(this.#files.pool());
    this.#store.write({ ...brought, cpus: [...new Set([...brought.cpus, ...missing])] });
    await converge(this.#files, this.#host, 'taking CPUs from the host', () => {
      const addCpus = lacking();
      return addCpus.length === 0 ? [] : [{ target: 'pool', addCpus }];
    }).catch((error: PolykernelError) => {
      throw unavailable(error.message);
    });
  }

  /** Brings PCI functions into a pool that exists; the host kernel takes them from what drives them. Rejects with `unavailable`. */
  async bringFunctions(addresses: readonly string[]): Promise<void> {
    const lacking = () => {
      const there = this.#files.pool().functions.map(({ address }) => address);
      return addresses.filter((address) => !there.includes(address));
    };
    const brought = this.#settled(this.#files.pool());
    this.#store.write({ ...brought, functions: [...new Set([...brought.functions, ...lacking()])] });
    await converge(this.#files, this.#host, 'taking PCI functions from the host', () => {
      const addDevices = lacking().map((address) => ({ address }));
      return addDevices.length === 0 ? [] : [{ target: 'pool', addDevices }];
    }).catch((error: PolykernelError) => {
      throw unavailable(error.message);
    });
  }

  /** Gives back what launches have brought and nobody uses; the rest goes with a later end. */
  async drain(): Promise<void> {
    try {
      await this.giveBack(this.#settled(this.#files.pool()));
    } finally {
      this.#store.write(this.#settled(this.#files.pool()));
    }
  }

  /** What of `part` is in the pool and nobody uses. Rejects when the host kernel keeps some of that. */
  async giveBack({ cpus, functions, chunks }: Pick<Brought, 'cpus' | 'functions' | 'chunks'>): Promise<void> {
    const { strays } = this.#store.read();
    const difference = (): Change[] => {
      const pool = this.#files.pool();
      if (!pool.exists) return [];
      const unused = this.#chunks().filter(
        (chunk) => chunk.taken.length === 0 && !strays.some((stray) => overlap(stray, chunk)),
      );
      const removeCpus = cpus.filter((cpu) => pool.freeCpus.includes(cpu));
      const removeMemory = chunks.filter((chunk) => unused.some((each) => sameRange(each, chunk)));
      const free = pool.functions.map(({ address }) => address);
      const removeDevices = functions.filter((address) => free.includes(address));
      const count = removeCpus.length + removeMemory.length + removeDevices.length;
      return count === 0 ? [] : [{ target: 'pool', removeCpus, removeDevices, removeMemory }];
    };
    await converge(this.#files, this.#host, 'making the pool smaller', difference);
  }

  /** CPUs of the pool that nobody has. Throws `unavailable` when there are too few, or no room for the memory. */
  takeFree(cpus: number, bytes: number): number[] {
    const pool = this.#files.pool();
    const hint = 'Give the kernel a part of the machine (--cpus 4-7, a partition), or make the pool larger.';
    if (pool.freeCpus.length < cpus) {
      const free = pool.exists ? `${pool.freeCpus.length} free CPUs` : 'no pool';
      throw new PolykernelError('unavailable', `the host kernel has ${free}, and the kernel needs ${cpus}`, { hint });
    }
    const gap = Math.max(0, ...this.#chunks().map(largestGap));
    if (gap < bytes) {
      const reason = `the pool has ${formatBytes(gap)} in one piece, and the kernel needs ${formatBytes(bytes)}`;
      throw new PolykernelError('unavailable', reason, { hint: `${SLACK} ${hint}` });
    }
    return pool.freeCpus.slice(0, cpus);
  }

  /** Memory that the kernel of the instance `name` may use whatever the books say; all of them without a name. */
  strays(name?: string): MemoryRange[] {
    return this.#store.read().strays.filter((stray) => name === undefined || stray.name === name);
  }

  addStray(name: string, { base, bytes }: MemoryRange): void {
    const brought = this.#store.read();
    this.#store.write({ ...brought, strays: [...brought.strays, { name, base, bytes }] });
  }

  /** When it is known where all of its memory is, or it has ended. */
  dropStrays(name: string): void {
    const { strays, ...brought } = this.#store.read();
    if (strays.length > 0) this.#store.write({ ...brought, strays: strays.filter((stray) => stray.name !== name) });
  }

  #chunks() {
    return parseIomem(readFileSync(this.#host.iomem, 'latin1'));
  }

  /** What of it is there, with the chunk that came, if one did. */
  #settled(pool: PoolState): Brought {
    const { cpus, functions, chunks, coming, strays } = this.#store.read();
    const came = coming === null ? undefined : arrived(pool, coming);
    return {
      cpus: pool.exists ? cpus.filter((cpu) => pool.cpus.includes(cpu)) : [],
      chunks: [...chunks, ...(came === undefined ? [] : [{ base: came.base, bytes: came.bytes }])].filter((chunk) =>
        pool.chunks.some((each) => sameRange(each, chunk)),
      ),
      functions,
      coming: null,
      strays,
    };
  }
}

export const overlap = (a: MemoryRange, b: MemoryRange): boolean =>
  a.base < b.base + b.bytes && b.base < a.base + a.bytes;

const sameRange = (a: MemoryRange, b: MemoryRange): boolean => a.base === b.base && a.bytes === b.bytes;

const arrived = ({ chunks }: PoolState, { bytes, before }: NonNullable<Brought['coming']>): MemoryRange | undefined =>
  chunks.find((chunk) => chunk.bytes === bytes && !before.includes(chunk.base));

const unavailable = (reason: string): PolykernelError =>
  new PolykernelError('unavailable', `the host kernel does not give up what the kernel needs: ${reason}`, {
    hint: 'CPU 0 stays with the host, and memory has to be had in one piece: boot with movablecore= (docs/multikernel.md).',
  });
