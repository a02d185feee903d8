/** The machine and its pool, as the API sees them: what there is, who owns what, and what a person may change of it. */

import type { MachineReport, PoolReport } from '../api/types.ts';
import {
  changePool,
  free,
  grownPool,
  housekeepingCpus,
  initPool,
  type Pool,
  type PoolRequest,
  releasePool,
  resolvePool,
  shrunkPool,
} from '../ledger/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { type Summary, summarize, type Topology } from '../topology/index.ts';
import type { HostPool } from './host-pool.ts';
import type { Mutex } from './mutex.ts';
import type { Supervisor } from './supervisor.ts';

export class Resources {
  readonly #supervisor: Supervisor;
  readonly #hostPool: HostPool;
  /** What plans and changes of the pool exclude each other by. */
  readonly #mutex: Mutex;

  constructor(supervisor: Supervisor, hostPool: HostPool, mutex: Mutex) {
    this.#supervisor = supervisor;
    this.#hostPool = hostPool;
    this.#mutex = mutex;
  }

  topology(): Topology & { summary: Summary } {
    const topology = this.#hostPool.topology(true);
    return { summary: summarize(topology), ...topology };
  }

  machine(): MachineReport {
    return { topology: this.#hostPool.topology(true), ledger: this.#supervisor.ledger() };
  }

  /** Throws `not-found` without a pool. */
  pool(): PoolReport {
    const ledger = this.#supervisor.ledger();
    if (ledger.pool === null) {
      throw new PolykernelError('not-found', 'there is no pool', {
        field: 'pool',
        hint: 'Make one: pk pool init --cpus LIST --memory SIZE',
      });
    }
    return {
      pool: ledger.pool,
      partitions: ledger.partitions,
      free: free(ledger),
      housekeepingCpus: housekeepingCpus(ledger.pool, this.#hostPool.topology()),
      ...this.#hostPool.readBack(),
    };
  }

  init(request: PoolRequest): Promise<PoolReport> {
    return this.#change((ledger, topology) => initPool(ledger, resolvePool(request, topology)).pool);
  }
  grow(request: PoolRequest): Promise<PoolReport> {
    return this.#change(
      (ledger, topology) => changePool(ledger, grownPool(required(ledger.pool), request, topology)).pool,
    );
  }
  shrink(request: PoolRequest): Promise<PoolReport> {
    return this.#change(
      (ledger, topology) => changePool(ledger, shrunkPool(required(ledger.pool), request, topology)).pool,
    );
  }
  async release(): Promise<void> {
    await this.#mutex.run(async () => {
      releasePool(this.#supervisor.ledger());
      await this.#hostPool.set(null);
      await this.#supervisor.repinAll();
    });
  }

  #change(next: (ledger: ReturnType<Supervisor['ledger']>, topology: Topology) => Pool | null): Promise<PoolReport> {
    return this.#mutex.run(async () => {
      const topology = this.#hostPool.topology(true);
      await this.#hostPool.set(next(this.#supervisor.ledger(), topology));
      await this.#supervisor.repinAll();
      return this.pool();
    });
  }
}

function required(pool: Pool | null): Pool {
  if (pool !== null) return pool;
  throw new PolykernelError('not-found', 'there is no pool', {
    field: 'pool',
    hint: 'Make one: pk pool init --cpus LIST --memory SIZE',
  });
}
