/** The pool as it is kept and enforced: its record in the store, and the acts on the host kernel that make it real. */

import type { Journal } from '../core/journal.ts';
import { housekeepingCpus, type Pool } from '../ledger/index.ts';
import type { Topology } from '../topology/index.ts';
import type { HostAct } from './acts.ts';
import type { PoolLease } from './pool-lease.ts';

/** What is kept of the pool across daemons. */
export interface PoolRecord {
  pool: Pool;
  /** What was done, or is about to be done, to the host kernel for it, in order. */
  acts: readonly HostAct[];
  /** `changing`: `acts` are of the pool before and have to be undone first. `releasing`: undone, and then nothing is left. */
  stage: 'ready' | 'changing' | 'releasing';
  /** As the host kernel showed it before kernels beside it took CPUs and memory along, out of its sight. */
  machine?: Machine;
  /** Boot of the host kernel that the acts were done to: another one knows nothing of them. */
  bootId: string;
}

/** What of a machine becomes less when a part of it is another kernel's. */
type Machine = Pick<Topology, 'cpus' | 'caches' | 'numaNodes'>;

export interface ApicId {
  id: number;
  apicId: number;
}

/** Acts on the host kernel. All are idempotent. */
export interface PoolEnforcement {
  /** What has to be done for `pool`, in the place of `previous`, which has been undone as far as possible; reads only. */
  plan(pool: Pool, housekeeping: readonly number[], previous: readonly HostAct[]): { acts: HostAct[]; notes: string[] };
  /** Returns what could not be done, for people. */
  perform(act: HostAct): Promise<string | undefined>;
  undo(act: HostAct): Promise<string | undefined>;
  /** What is real now, for people: what holds, and what does not, named by `what`. */
  readBack(acts: readonly HostAct[]): { holds: string[]; lost: { what: string; text: string }[] };
}

export interface HostPoolOptions {
  kept: { get(): PoolRecord | null; put(record: PoolRecord | null): void };
  readTopology(): Topology;
  /** CPUs that kernels beside the host's have while they run: the host kernel shows them no more then. */
  lent(): readonly number[];
  /** /proc/sys/kernel/random/boot_id of the host. */
  bootId: string;
  enforcement: PoolEnforcement;
  /** Keeps the daemons of other state directories from having a pool as well. */
  lease: PoolLease;
  journal: Journal;
}

/**
 * INVARIANTS
 * - What is about to be done to the host kernel is in the store before it is done, with how to undo it.
 * - Between two calls the record is `ready` or there is none; recover() makes that true again after a crash.
 */
export class HostPool {
  readonly #options: HostPoolOptions;
  #record: PoolRecord | null;
  /** As the host kernel showed it last. */
  #seen: Topology | undefined;
  #notes: readonly string[] = [];

  constructor(options: HostPoolOptions) {
    this.#options = options;
    this.#record = options.kept.get();
  }

  get pool(): Pool | null {
    return this.#record?.stage === 'releasing' ? null : (this.#record?.pool ?? null);
  }

  /** Whether what is recorded was done to the host kernel. */
  get isSettled(): boolean {
    return this.#record === null || this.#record.stage === 'ready';
  }

  /** The machine as last read, with what kernels beside the host's have of it; `refresh` reads it again. */
  topology(refresh = false): Topology {
    if (refresh || this.#seen === undefined) this.#seen = this.#options.readTopology();
    const [seen, before] = [withOwn(this.#seen, this.#record?.pool), this.#record?.machine];
    const away = this.#away(seen);
    if (before === undefined || away.length === 0) return seen;
    const online = new Set([...onlineOf(seen), ...away]);
    const nodes = new Map(seen.numaNodes.map((node) => [node.id, node]));
    return {
      ...seen,
      cpus: before.cpus.map((cpu) => ({ ...cpu, online: online.has(cpu.id) })),
      caches: before.caches,
      numaNodes: before.numaNodes.map((node) => {
        const { freeBytes = null, hugePages = node.hugePages } = nodes.get(node.id) ?? {};
        return { ...node, freeBytes, hugePages };
      }),
    };
  }

  /** CPUs that kernels have taken along. */
  #away(seen: Topology): number[] {
    const online = onlineOf(seen);
    return this.#options.lent().filter((cpu) => !online.has(cpu));
  }

  /** CPUs for everything that owns none; undefined without a pool, when all are. */
  housekeepingCpus(): readonly number[] | undefined {
    return this.pool === null ? undefined : housekeepingCpus(this.pool, this.topology());
  }

  /** Those of `cpus` that firmware names, by what it names them. */
  apicIds(cpus: readonly number[]): ApicId[] {
    const all = [...(this.#record?.machine?.cpus ?? []), ...this.topology().cpus];
    const known = new Map(all.flatMap(({ id, apicId }) => (apicId === undefined ? [] : [[id, apicId] as const])));
    return cpus.flatMap((id) => (known.has(id) ? [{ id, apicId: known.get(id)! }] : []));
  }

  /** What the host kernel really does for the pool now, and what it does not and why; one sentence each. */
  readBack(): { enforced: string[]; notes: string[] } {
    const { holds, lost } = this.#options.enforcement.readBack(this.#record?.acts ?? []);
    // Of what was refused in the first place the reason is known, and says more.
    const undone = lost.filter(({ what }) => !this.#notes.some((note) => note.startsWith(`${what} `)));
    return { enforced: holds, notes: [...this.#notes, ...undone.map(({ text }) => text)] };
  }

  /**
   * Makes `pool` the pool, or gives it up. The record changes before the first await, so that no claim is made on what
   * goes. The caller has checked it against the ledger. Throws `conflict` when another daemon has a pool.
   */
  async set(pool: Pool | null): Promise<void> {
    const before = this.#record;
    if (pool === null && before === null) return;
    this.#keep(pool === null ? { ...before!, stage: 'releasing' } : this.next(pool));
    try {
      await this.recover();
    } catch (error) {
      // Nothing could be recorded: what was done so far is in the record and is undone with it.
      this.#options.journal.error('changing the pool', error);
      if (before === null) await this.set(null);
      throw error;
    }
  }

  /**
   * The record to write, with others in one transaction, before adopt() and recover(). From here on the machine's pool is
   * this daemon's: throws `conflict` when it is another's.
   */
  next(pool: Pool): PoolRecord {
    this.#options.lease.take();
    const { bootId } = this.#options;
    return { pool, acts: this.#record?.acts ?? [], stage: 'changing', bootId, machine: this.#machine() };
  }
  /** Stores a record that next() gave. Throws `internal`. */
  write(record: PoolRecord): void {
    this.#options.kept.put(record);
  }
  /** Takes over a record that was stored. */
  adopt(record: PoolRecord): void {
    this.#record = record;
  }

  /** Finishes what was begun; for a `ready` pool does again what somebody or a reboot of the host has undone. */
  async recover(): Promise<void> {
    const { enforcement, bootId } = this.#options;
    if (this.#record !== null && this.#record.bootId !== bootId) {
      const { pool, stage } = this.#record;
      const { machine: _, ...record } = this.#record;
      this.#record = record;
      const next = stage === 'releasing' ? stage : 'changing';
      this.#keep({ pool, acts: [], stage: next, bootId, machine: this.#machine() });
    }
    const record = this.#record;
    if (record === null) return;
    if (record.stage !== 'releasing') this.#options.lease.take();
    if (record.stage !== 'ready') {
      for (const act of [...record.acts].reverse()) this.#told(await enforcement.undo(act));
      if (record.stage === 'releasing') {
        this.#notes = [];
        this.#options.lease.drop();
        return this.#keep(null);
      }
      const housekeeping = housekeepingCpus(record.pool, this.topology());
      const { acts, notes } = enforcement.plan(record.pool, housekeeping, record.acts);
      this.#notes = notes;
      this.#keep({ ...record, acts, stage: 'ready' });
    }
    const failed: string[] = [];
    for (const act of this.#record!.acts) {
      const note = await enforcement.perform(act);
      if (note !== undefined) failed.push(note);
    }
    this.#notes = [...this.#notes, ...failed];
  }

  #machine(): Machine {
    const { cpus, caches, numaNodes } = this.topology();
    return { cpus, caches, numaNodes };
  }

  #told(note: string | undefined): void {
    if (note !== undefined) this.#options.journal.info(note);
  }

  #keep(record: PoolRecord | null): void {
    this.#options.kept.put(record);
    this.#record = record;
  }
}

const onlineOf = ({ cpus }: Topology): Set<number> => new Set(cpus.filter(({ online }) => online).map(({ id }) => id));

/** What the pool took from the groups of all others, this process's too (cgroup v2), it may use all the same. */
function withOwn(seen: Topology, pool: Pool | undefined): Topology {
  const { cpus } = seen.limits;
  if (cpus === null || pool === undefined) return seen;
  const allowed = new Set([...cpus, ...pool.cpus]);
  return { ...seen, limits: { ...seen.limits, cpus: [...onlineOf(seen)].filter((cpu) => allowed.has(cpu)) } };
}
