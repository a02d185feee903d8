/** The machine and its pool, as the API sees them: what there is, who owns what, and what a person may change of it. */

import type { Mutex } from '../core/mutex.ts';
import type { AnyStep } from '../core/step.ts';
import type { Steps } from '../core/steps.ts';
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
import { reservedBy, THE_POOL } from './steps.ts';

export type StepsUnderWay = Pick<Steps<AnyStep>, 'underWay' | 'holding'>;

interface ResourcesOptions {
  instances(): Instances;
  hostPool: HostPool;
  /** What plans and changes of the pool exclude each other by. */
  mutex: Mutex;
  steps(): StepsUnderWay;
}

export class Resources {
  readonly #options: ResourcesOptions;

  constructor(options: ResourcesOptions) {
    this.#options = options;
  }

  topology(): Topology & { summary: Summary } {
    const topology = this.#options.hostPool.topology(true);
    return { summary: summarize(topology), ...topology };
  }

  machine(): MachineReport {
    const { hostPool, instances } = this.#options;
    return { topology: hostPool.topology(true), ledger: instances().ledger() };
  }

  /** Throws `not-found` without a pool. */
  pool(): PoolReport {
    const { hostPool, instances } = this.#options;
    const ledger = instances().ledger();
    if (ledger.pool === null) {
      throw new PolykernelError('not-found', 'there is no pool', {
        field: 'pool',
        hint: 'Make one: pk pool init --cpus LIST --memory SIZE',
      });
    }
    return { ...this.#report(ledger, ledger.pool, hostPool.topology()), ...hostPool.readBack() };
  }

  // `isDry`: only what would be is answered.
  init(request: PoolRequest, isDry = false): Promise<PoolReport> {
    return this.#change(isDry, (ledger, topology) => initPool(ledger, resolvePool(request, topology)));
  }
  grow(request: PoolRequest, isDry = false): Promise<PoolReport> {
    return this.#change(isDry, (ledger, topology, reserved) =>
      changePool(ledger, grownPool(required(ledger.pool), request, topology), reserved),
    );
  }
  shrink(request: PoolRequest, isDry = false): Promise<PoolReport> {
    return this.#change(isDry, (ledger, topology, reserved) =>
      changePool(ledger, shrunkPool(required(ledger.pool), request, topology), reserved),
    );
  }
  async release(): Promise<void> {
    const { hostPool, instances } = this.#options;
    await this.#alone(async (ledger, reserved) => {
      releasePool({ ...ledger, partitions: { ...ledger.partitions, ...reserved } });
      await hostPool.set(null);
      await instances().repinAll();
    });
  }

  #change(
    isDry: boolean,
    next: (ledger: Ledger, topology: Topology, reserved: Ledger['partitions']) => Ledger,
  ): Promise<PoolReport> {
    const { hostPool, instances } = this.#options;
    return this.#alone(async (before, reserved) => {
      const topology = hostPool.topology(true);
      const ledger = next(before, topology, reserved);
      if (isDry) return { ...this.#report(ledger, required(ledger.pool), topology), enforced: [], notes: [] };
      await hostPool.set(ledger.pool);
      await instances().repinAll();
      return this.pool();
    });
  }

  #report(ledger: Ledger, pool: Pool, topology: Topology): Omit<PoolReport, 'enforced' | 'notes'> {
    return {
      pool,
      partitions: ledger.partitions,
      free: free(ledger),
      housekeepingCpus: housekeepingCpus(pool, topology),
      apicIds: this.#options.hostPool.apicIds(pool.cpus),
    };
  }

  /** While nobody else plans or changes the pool; `reserved`: what changes under way are to give of it. */
  #alone<T>(work: (ledger: Ledger, reserved: Ledger['partitions']) => Promise<T>): Promise<T> {
    const { instances, mutex, steps } = this.#options;
    return steps().holding([THE_POOL], () =>
      mutex.run(() => {
        const ledger = instances().ledger();
        return work(ledger, reservedBy(ledger, steps().underWay));
      }),
    );
  }
}

function required(pool: Pool | null): Pool {
  if (pool !== null) return pool;
  throw new PolykernelError('not-found', 'there is no pool', {
    field: 'pool',
    hint: 'Make one: pk pool init --cpus LIST --memory SIZE',
  });
}
