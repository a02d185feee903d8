/**
 * What others have made in the host kernel, as they left it: seen as a whole, and acted upon by who has taken it over. Nothing here
 * knows who made it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { InstanceState, PoolState } from '../../devicetree/multikernel/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { CpuMap } from './cpus.ts';
import type { MultikernelHost } from './host.ts';
import { SpawnInstance } from './instance.ts';
import { KernelFiles } from './interface.ts';
import { type PoolChunk, parseIomem } from './iomem.ts';
import { HostPool } from './pool.ts';
import { type Brought, BroughtStore } from './record.ts';

/** Readings that are compared until two are the same. */
const READS = 5;
const PAUSE_MS = 20;

export interface SeenInstance extends InstanceState {
  status: string;
}

/** All that the host kernel says, at one moment. */
export interface SeenHost {
  pool: PoolState;
  instances: readonly SeenInstance[];
  /** The pool's memory as /proc/iomem has it. */
  memory: readonly PoolChunk[];
  /** What of the pool launches of this machine's Polykernel have brought. */
  brought: Brought;
  /** Physical ids of CPUs by the host kernel's numbers, as far as they were ever seen. */
  cpus: ReadonlyMap<number, number>;
}

export class ForeignHost {
  readonly #host: MultikernelHost;
  readonly #files: KernelFiles;
  readonly #brought: BroughtStore;
  readonly #cpus: CpuMap;

  /** `cache`: where launches keep which CPU is which and what they have brought. */
  constructor(host: MultikernelHost, cache: string) {
    this.#host = host;
    this.#files = new KernelFiles(host.root);
    this.#brought = new BroughtStore(join(cache, 'multikernel-brought.json'));
    this.#cpus = new CpuMap(host.cpuinfo, join(cache, 'multikernel-cpus.json'));
  }

  /** Rejects with `unavailable` for a host of another format, and `conflict` when it changes again and again. */
  async look(): Promise<SeenHost> {
    if (this.#files.format() !== 'second')
      throw new PolykernelError('unavailable', 'the kernel of this machine has trees of the form before August 2026', {
        hint: 'What kerf has made there is not taken over: docs/multikernel.md.',
      });
    let before: SeenHost | undefined;
    for (let read = 0; read < READS; read++) {
      const now = this.#read();
      if (now !== undefined && isDeepStrictEqual(now, before)) return now;
      before = now;
      await this.#host.pause(PAUSE_MS);
    }
    throw new PolykernelError('conflict', 'what the host kernel says of its pool and instances changes all the time', {
      hint: 'Something is at work there: try again.',
    });
  }

  /** Undefined when an instance went meanwhile. */
  #read(): SeenHost | undefined {
    const instances: SeenInstance[] = [];
    for (const name of this.#files.instances().sort()) {
      const status = this.#files.status(name);
      const found = status === undefined ? undefined : this.#instance(name);
      if (status === undefined || found === undefined) return undefined;
      instances.push({ ...found, status });
    }
    return {
      pool: this.#files.pool(),
      instances,
      memory: parseIomem(readFileSync(this.#host.iomem, 'latin1')),
      brought: this.#brought.read(),
      cpus: this.#cpus.read(),
    };
  }

  /** The host kernel's name for it is its directory's; one whose tree cannot be read has nothing. */
  #instance(name: string): InstanceState | undefined {
    const found = this.#files.instance(name);
    return found === undefined ? undefined : { ...found, name };
  }

  /** Throws `conflict` unless the instance `name` is there with this id. */
  #known(name: string, id: number): SpawnInstance {
    const found = this.#files.instance(name);
    if (found?.id === id) return new SpawnInstance(name, this.#host, this.#files);
    const what = found === undefined ? 'is gone' : `is another one now, with the id ${found.id}`;
    throw new PolykernelError('conflict', `${name} ${what}`, { field: 'name', value: name });
  }

  /** Boots what is loaded; one that runs goes on. */
  async start(name: string, id: number): Promise<void> {
    const instance = this.#known(name, id);
    const { status } = instance;
    if (status === 'active') return;
    if (status !== 'loaded')
      throw new PolykernelError('conflict', `${name} has no kernel loaded (it is ${status})`, {
        field: 'name',
        value: name,
        hint: `Load one: kerf load ${name} --kernel vmlinux`,
      });
    await instance.boot(id);
  }

  /** Rejects when it cannot be stopped. */
  async stop(name: string, id: number, patienceMs: number): Promise<void> {
    await this.#known(name, id).halt(id, patienceMs);
  }

  /** Ends it and removes it: what it had is the pool's. */
  async remove(name: string, id: number): Promise<void> {
    await this.#host.turns.run(() => this.#known(name, id).end());
  }

  status(name: string, id: number): string | undefined {
    return this.#files.instance(name)?.id === id ? this.#files.status(name) : undefined;
  }

  /** Gives this part of the pool back to the host kernel, as far as it is there. Rejects when some of it stays. */
  async giveBack(part: Pick<Brought, 'cpus' | 'functions' | 'chunks'>): Promise<void> {
    const pool = new HostPool(this.#files, this.#host, this.#brought);
    await this.#host.turns.run(() => pool.giveBack(part));
  }
}
