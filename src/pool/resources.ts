/** The machine and its pool, as the API sees them: what there is, who owns what, and what a person may change of it. */

import type { Mutex } from '../core/mutex.ts';
import type { Instances } from '../instance/contract.ts';
import {
  changePool,
  free,
  grownPool,
  housekeepingCpus,
  initPool,
  type Ledger,
  type Pool,
  type PoolRequest,
  releasePool,
  resolvePool,
  shrunkPool,
} from '../ledger/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { type Summary, summarize, type Topology } from '../topology/index.ts';
import type { MachineReport, PoolReport } from './contract.ts';
import type { HostPool } from './host-pool.ts';

export class Resources {
  readonly #instances: () => Instances;
  readonly #hostPool: HostPool;
  /** What plans and changes of the pool exclude each other by. */
  readonly #mutex: Mutex;

  constructor(instances: () => Instances, hostPool: HostPool, mutex: Mutex) {
    this.#instances = instances;
    this.#hostPool = hostPool;
    this.#mutex = mutex;
  }

  topology(): Topology & { summary: Summary } {
    const topology = this.#hostPool.topology(true);
    return { summary: summarize(topology), ...topology };
  }

  machine(): MachineReport {
    return { topology: this.#hostPool.topology(true), ledger: this.#instances().ledger() };
  }

  /** Throws `not-found` without a pool. */
  pool(): PoolReport {
    const ledger = this.#instances().ledger();
    if (ledger.pool === null) {
      throw new PolykernelError('not-found', 'there is no pool', {
        field: 'pool',
        hint: 'Make one: pk pool init --cpus LIST --memory SIZE',
      });
    }
    return { ...reportOf(ledger, ledger.pool, this.#hostPool.topology()), ...this.#hostPool.readBack() };
  }

  // `isDry`: only what would be is answered.
  init(request: PoolRequest, isDry = false): Promise<PoolReport> {
    return this.#change(isDry, (ledger, topology) => initPool(ledger, resolvePool(request, topology)));
  }
  grow(request: PoolRequest, isDry = false): Promise<PoolReport> {
    return this.#change(isDry, (ledger, topology) =>
      changePool(ledger, grownPool(required(ledger.pool), request, topology)),
    );
  }
  shrink(request: PoolRequest, isDry = false): Promise<PoolReport> {
    return this.#change(isDry, (ledger, topology) =>
      changePool(ledger, shrunkPool(required(ledger.pool), request, topology)),
    );
  }
  async release(): Promise<void> {
    await this.#mutex.run(async () => {
      releasePool(this.#instances().ledger());
      await this.#hostPool.set(null);
      await this.#instances().repinAll();
    });
  }

  #change(isDry: boolean, next: (ledger: Ledger, topology: Topology) => Ledger): Promise<PoolReport> {
    return this.#mutex.run(async () => {
      const topology = this.#hostPool.topology(true);
      const ledger = next(this.#instances().ledger(), topology);
      if (isDry) return { ...reportOf(ledger, required(ledger.pool), topology), enforced: [], notes: [] };
      await this.#hostPool.set(ledger.pool);
      await this.#instances().repinAll();
      return this.pool();
    });
  }
}

function reportOf(ledger: Ledger, pool: Pool, topology: Topology): Omit<PoolReport, 'enforced' | 'notes'> {
  const own = new Set(pool.cpus);
  return {
    pool,
    partitions: ledger.partitions,
    free: free(ledger),
    housekeepingCpus: housekeepingCpus(pool, topology),
    apicIds: topology.cpus.flatMap(({ id, apicId }) => (own.has(id) && apicId !== undefined ? [{ id, apicId }] : [])),
  };
}

function required(pool: Pool | null): Pool {
  if (pool !== null) return pool;
  throw new PolykernelError('not-found', 'there is no pool', {
    field: 'pool',
    hint: 'Make one: pk pool init --cpus LIST --memory SIZE',
  });
}
