/**
 * The part of the machine that one kernel has: taken from the host, and given back. What is about to be taken is written down in the
 * launch's directory first, so that any later process can give it back; both may be done again after they failed.
 */
import { join } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';
import type { LaunchSpec } from '../driver.ts';
import { CpuMap } from './cpus.ts';
import type { MultikernelHost } from './host.ts';
import { SpawnInstance } from './instance.ts';
import { KernelFiles } from './interface.ts';
import { InstanceMemory } from './memory.ts';
import { chunkBytes, HostPool, overlap } from './pool.ts';
import { BroughtStore, type LaunchRecord, removeRecord, writeRecord } from './record.ts';

export class MachinePart {
  readonly host: MultikernelHost;
  readonly files: KernelFiles;
  readonly instance: SpawnInstance;
  readonly cpus: CpuMap;
  readonly memory: InstanceMemory;
  readonly #pool: HostPool;

  /** `name`: of the instance; `cache`: a directory that keeps which CPU is which; `files`: of the host, where they are at hand. */
  constructor(host: MultikernelHost, name: string, cache: string, files = new KernelFiles(host.root)) {
    this.host = host;
    this.files = files;
    this.instance = new SpawnInstance(name, host, this.files);
    this.cpus = new CpuMap(host.cpuinfo, join(cache, 'multikernel-cpus.json'));
    this.#pool = new HostPool(this.files, host, new BroughtStore(join(cache, 'multikernel-brought.json')));
    this.memory = new InstanceMemory(name, host, this.files, this.#pool);
  }

  /** Makes the instance with what it is to have. When it rejects, giveBack() undoes what was done. */
  async take(
    spec: Pick<LaunchSpec, 'directory' | 'cpus' | 'memoryBytes' | 'placement' | 'size' | 'devices'>,
    signal: AbortSignal,
  ): Promise<LaunchRecord> {
    signal.throwIfAborted();
    // Of an earlier launch, if anything.
    await this.giveBack(spec.directory);
    const { directory } = spec;
    const memoryBytes = spec.size?.leastMemoryBytes ?? spec.memoryBytes;
    const { cpus, node } = this.#choose({ ...spec, memoryBytes });
    const own = [...new Set(cpus)];
    const record: LaunchRecord = { name: this.instance.name, id: null, cpus, node: node ?? 0, bootPool: [] };
    writeRecord(directory, record);
    if (node !== undefined) await this.#pool.fill(own, chunkBytes(memoryBytes), node);
    signal.throwIfAborted();
    const starts = own.slice(0, spec.size?.cpus ?? own.length);
    record.id = await this.instance.create({ cpus: starts, bytes: memoryBytes, node });
    writeRecord(directory, record);
    this.#checkPlace();
    const functions = (spec.devices ?? []).map(({ address }) => address);
    if (functions.length > 0) {
      await this.#pool.bringFunctions(functions);
      signal.throwIfAborted();
      await this.instance.giveFunctions(functions);
    }
    return record;
  }

  /** The kernel chooses the place, by its books; memory that another kernel has against them is none. */
  #checkPlace(): void {
    const strays = this.#pool.strays();
    if (!this.memory.regions().some((region) => strays.some((stray) => overlap(region, stray)))) return;
    throw new PolykernelError('unavailable', 'the host kernel would give it memory that another kernel may still use', {
      hint: 'Restart the instance whose memory could not be changed: the log of the daemon names it.',
    });
  }

  /** Physical ids of its CPUs, and the node from which memory is to be brought; without one it takes what is free in the pool. */
  #choose({ cpus, memoryBytes, placement }: Pick<LaunchSpec, 'cpus' | 'memoryBytes' | 'placement'>) {
    if (placement === undefined) return { cpus: this.#pool.takeFree(cpus, memoryBytes), node: undefined };
    // Before any leaves.
    const own = this.cpus.physical(placement.vcpuCpus);
    const pool = this.files.pool();
    const lent = own.filter((cpu) => pool.exists && pool.cpus.includes(cpu) && !pool.freeCpus.includes(cpu));
    if (lent.length > 0)
      throw new PolykernelError('unavailable', `CPUs ${this.cpus.logical(lent).join(', ')} are another kernel's`, {
        field: 'cpus',
        hint: 'Something else has made instances in the host kernel: give the kernel other CPUs.',
      });
    const [memory, ...more] = placement.memory;
    if (memory === undefined || more.length > 0)
      throw new PolykernelError('unsupported', 'the memory of a kernel beside the host’s comes from one node', {
        field: 'partition.memory',
        hint: 'Give it memory of one node.',
      });
    return { cpus: own, node: memory.node };
  }

  /**
   * Boots it. No CPU can ever come to it but those that are in the pool by now: `spare` ones of the host are there for that moment, as far as
   * the host lets go of them.
   */
  async boot(directory: string, record: LaunchRecord, spare: readonly number[]): Promise<void> {
    const bringSpare = async () => await this.#pool.bringCpus(this.cpus.physical(spare));
    try {
      await bringSpare().catch(() => {});
      record.bootPool = [...this.files.pool().cpus];
      writeRecord(directory, record);
      await this.instance.boot(record.id!);
    } finally {
      // What the host does not take back now goes with a later end.
      if (spare.length > 0) await this.#pool.drain().catch(() => {});
    }
  }

  /** Has it have these CPUs, brought where they are not in the pool; those that it had go back to the host. The first stays. */
  async setCpus(cpus: readonly number[]): Promise<void> {
    try {
      await this.#pool.bringCpus(cpus);
      await this.instance.setCpus(cpus);
    } finally {
      // As at the boot.
      await this.#pool.drain().catch(() => {});
    }
  }

  /** Ends the instance and gives back what it had. May be called at any time, more than once. Rejects while some of it may be used yet. */
  async giveBack(directory: string): Promise<void> {
    await this.instance.end();
    await this.memory.release();
    this.#pool.dropStrays(this.instance.name);
    removeRecord(directory);
    // What stays in the pool nobody uses: it goes with a later end.
    await this.#pool.drain().catch(() => {});
  }
}
