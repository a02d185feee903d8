/**
 * Memory of a kernel that runs, in blocks of its own: what it is given it uses where it is told to, and the host kernel books some other
 * memory of that size, wherever its pool has room, and does not look whether that is the same (kernel/multikernel/hotplug.c of the
 * patches). Nothing but the place that the pool would take next may be given, therefore. Where that is, is tried: instances without CPUs,
 * which are made and removed, take the places that will not do, and /proc/iomem says which each has. It says afterwards, too, what was
 * booked; a kernel that has other memory than the books say keeps both from everybody until it ends.
 */
import { readFileSync } from 'node:fs';
import type { MemoryRange } from '../../devicetree/multikernel/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { formatBytes } from '../../sys/units.ts';
import { attempt, converge } from './converge.ts';
import type { MultikernelHost } from './host.ts';
import type { KernelFiles } from './interface.ts';
import { parseIomem } from './iomem.ts';
import { chunkBytes, type HostPool } from './pool.ts';

/** Places that are tried before it is said that there is none. */
const TRIES = 32;

export interface Region extends MemoryRange {
  /** The first is 0: on it the kernel booted, and it stays. */
  readonly index: number;
}

/** The regions of one instance, in their order, as the host kernel has booked them. */
export function regionsOf(name: string, iomem: string): Region[] {
  const own = /^mk-instance-\d{1,10}-(.+)-region-(\d{1,10})$/;
  return parseIomem(readFileSync(iomem, 'latin1'))
    .flatMap(({ taken }) => taken)
    .flatMap(({ base, bytes, name: line }) => {
      const [, of, index] = own.exec(line) ?? [];
      return of === name ? [{ base, bytes, index: Number(index) }] : [];
    })
    .sort((one, other) => one.index - other.index);
}

/** What an instance is called that only holds a place. */
const holder = (name: string, index: number): string => `${name}.hold-${index}`;

export class InstanceMemory {
  readonly #name: string;
  readonly #host: Pick<MultikernelHost, 'pause' | 'iomem'>;
  readonly #files: KernelFiles;
  readonly #pool: HostPool;

  constructor(name: string, host: Pick<MultikernelHost, 'pause' | 'iomem'>, files: KernelFiles, pool: HostPool) {
    this.#name = name;
    this.#host = host;
    this.#files = files;
    this.#pool = pool;
  }

  regions(): Region[] {
    return regionsOf(this.#name, this.#host.iomem);
  }

  bytes(): number {
    return this.regions().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Gives it so much in all, or takes so much: two transactions with a look between them. `block`: of its kernel; `node`: where more comes
   * from. Rejects with `invalid` for what is no whole blocks above what it booted with, `unavailable` where the host has no such memory,
   * `not-ready` when it does not let go; it has what bytes() says then.
   */
  async resize(bytes: number, { block, node }: { block: number; node: number }): Promise<void> {
    this.#checkSize(bytes, block);
    const now = this.bytes();
    try {
      if (bytes > now) await this.#grow(bytes - now, block, node);
      if (bytes < now) await this.#shrink(now - bytes, block, node);
    } finally {
      await this.#pool.drain();
    }
  }

  /** Removes what holds places, of a process that ended meanwhile. */
  async release(): Promise<void> {
    const held = this.#files.instances().filter((name) => name.startsWith(`${this.#name}.hold-`));
    if (held.length === 0) return;
    await converge(this.#files, this.#host, 'letting go of memory', () =>
      held
        .filter((name) => this.#files.status(name) !== undefined)
        .map((name) => ({ target: 'remove', name }) as const),
    );
  }

  #checkSize(bytes: number, block: number): void {
    const least = this.regions()[0]?.bytes ?? 0;
    const more = bytes - least;
    if (more >= 0 && more % block === 0) return;
    const near = least + Math.max(0, Math.round(more / block)) * block;
    throw new PolykernelError(
      'invalid',
      `the kernel booted with ${formatBytes(least)}, which stay, and has more of it in blocks of ${formatBytes(block)}`,
      { field: 'memoryBytes', value: bytes, hint: `Give it ${formatBytes(near)}, for example.` },
    );
  }

  async #grow(bytes: number, block: number, node: number): Promise<void> {
    if (this.#pool.strays(this.#name).length > 0)
      throw new PolykernelError(
        'unavailable',
        'memory of this kernel is booked elsewhere than it is: it stays as it is',
        {
          field: 'memoryBytes',
          hint: 'Restart the instance.',
        },
      );
    // A place in it that begins with a block, wherever the kernel keeps what it needs itself.
    const chunk = await this.#pool.fill([], chunkBytes(bytes + block), node);
    try {
      const base = await this.#steer(chunk, bytes, block, node);
      await this.#add({ base, bytes, node });
    } finally {
      await this.release();
    }
  }

  /** Has the pool take next a place within `chunk` that begins with a block, and says where that is. */
  async #steer(chunk: MemoryRange, bytes: number, block: number, node: number): Promise<number> {
    let last: { base: number; index: number } | undefined;
    for (let index = 0; index < TRIES; index++) {
      const { base } = await this.#hold(index, bytes, node);
      const isOurs = base >= chunk.base && base + bytes <= chunk.base + chunk.bytes;
      // A place of somebody else's: kept from now on, for the pool to look further.
      if (!isOurs) continue;
      await this.#drop(index);
      if (base % block === 0) return base;
      // The pool fills a chunk from one of its ends: from which, is seen by where the next place is.
      const isDown = last !== undefined && base < last.base;
      if (isDown) await this.#drop(last!.index);
      await this.#hold(index, isDown ? last!.base % block : block - (base % block), node);
      last = { base, index };
    }
    throw new PolykernelError('unavailable', 'the host kernel has no place for memory that begins with a block', {
      field: 'memoryBytes',
      hint: 'See /proc/iomem for what its pool is used for.',
    });
  }

  async #hold(index: number, bytes: number, node: number): Promise<Region> {
    const name = holder(this.#name, index);
    await converge(this.#files, this.#host, 'finding a place for memory', () =>
      this.#files.status(name) === undefined
        ? [{ target: 'create', name, cpus: [], memoryBytes: bytes, node } as const]
        : [],
    );
    const [region] = regionsOf(name, this.#host.iomem);
    if (region === undefined) throw new PolykernelError('internal', `/proc/iomem does not show the memory of ${name}`);
    return region;
  }

  #drop(index: number): Promise<void> {
    const name = holder(this.#name, index);
    return converge(this.#files, this.#host, 'finding a place for memory', () =>
      this.#files.status(name) === undefined ? [] : [{ target: 'remove', name } as const],
    );
  }

  async #add(range: MemoryRange): Promise<void> {
    const before = new Set(this.regions().map(({ base }) => base));
    const came = () => this.regions().filter(({ base }) => !before.has(base));
    const name = this.#name;
    // Written down first: until it is seen to be booked there, nobody else may have the place.
    this.#pool.addStray(name, range);
    await converge(this.#files, this.#host, `giving memory to ${name}`, () =>
      came().length > 0 ? [] : [{ target: 'instance', name, addMemory: [range] } as const],
    ).catch(async (error: unknown) => {
      // Nothing was booked; what its kernel did of it is not known, and it is asked to let go.
      await attempt(() => this.#files.apply([{ target: 'instance', name, removeMemory: [range] }]));
      throw error;
    });
    const [booked] = came();
    if (booked?.base === range.base && booked.bytes === range.bytes) return this.#pool.dropStrays(name);
    await attempt(() => this.#files.apply([{ target: 'instance', name, removeMemory: [range] }]));
    throw new PolykernelError(
      'internal',
      `memory of ${name} is at ${range.base.toString(16)}, and the host kernel has booked ${booked?.base.toString(16)}`,
      { hint: 'Both are kept from others until the instance ends. Restart it.' },
    );
  }

  /** Whole regions go; of one that is too large the rest comes back. */
  async #shrink(bytes: number, block: number, node: number): Promise<void> {
    const go = leaving(
      this.regions().filter(({ index }) => index > 0),
      bytes,
    );
    const name = this.#name;
    const bases = new Set(go.map(({ base }) => base));
    const left = () => this.regions().filter(({ base, index }) => index > 0 && bases.has(base));
    await converge(this.#files, this.#host, `taking memory from ${name}`, () =>
      left().map(({ base, bytes: size }) => ({
        target: 'instance' as const,
        name,
        removeMemory: [{ base, bytes: size }],
      })),
    ).catch((error: PolykernelError) => {
      throw new PolykernelError('not-ready', error.message, {
        field: 'memoryBytes',
        hint: 'The kernel uses what it is to give away, it seems: try again later, or give it back less.',
      });
    });
    const gone = go.reduce((sum, region) => sum + region.bytes, 0);
    if (gone > bytes) await this.#grow(gone - bytes, block, node);
  }
}

/** Those that make up `bytes`, or the least that is more. Of no fewer bytes than that. */
export function leaving(regions: readonly Region[], bytes: number): Region[] {
  let rest = bytes;
  const go: Region[] = [];
  for (const region of [...regions].sort((one, other) => other.bytes - one.bytes))
    if (region.bytes <= rest) {
      go.push(region);
      rest -= region.bytes;
    }
  if (rest === 0) return go;
  const smallest = regions.filter((region) => !go.includes(region)).sort((one, other) => one.bytes - other.bytes)[0];
  return smallest === undefined ? go : [...go, smallest];
}
