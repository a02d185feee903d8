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
  /** How firmware names its CPUs: one that is a kernel's beside the host's takes that along, out of the host kernel's sight. */
  apicIds?: readonly ApicId[];
  /** Boot of the host kernel that the acts were done to: another one knows nothing of them. */
  bootId: string;
}

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
  #topology: Topology | undefined;
  #notes: readonly string[] = [];

  constructor(options: HostPoolOptions) {
    this.#options = options;
    this.#record = options.kept.get();
  }

  get pool(): Pool | null {
    return this.#record?.stage === 'releasing' ? null : (this.#record?.pool ?? null);
  }

  /** The machine as last read; `refresh` reads it again. */
  topology(refresh = false): Topology {
    if (refresh || this.#topology === undefined) this.#topology = this.#options.readTopology();
    return this.#topology;
  }

  /** CPUs for everything that owns none; undefined without a pool, when all are. */
  housekeepingCpus(): readonly number[] | undefined {
    return this.pool === null ? undefined : housekeepingCpus(this.pool, this.topology());
  }

  /** Those of `cpus` that firmware names, by what it names them. */
  apicIds(cpus: readonly number[]): ApicId[] {
    const now = this.topology().cpus.flatMap(({ id, apicId }) => (apicId === undefined ? [] : [{ id, apicId }]));
    const known = new Map([...(this.#record?.apicIds ?? []), ...now].map(({ id, apicId }) => [id, apicId]));
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
    return { pool, acts: this.#record?.acts ?? [], stage: 'changing', bootId, apicIds: this.apicIds(pool.cpus) };
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
      this.#record = { ...this.#record, apicIds: [] };
      const apicIds = this.apicIds(pool.cpus);
      this.#keep({ pool, acts: [], stage: stage === 'releasing' ? stage : 'changing', bootId, apicIds });
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

  #told(note: string | undefined): void {
    if (note !== undefined) this.#options.journal.info(note);
  }

  #keep(record: PoolRecord | null): void {
    this.#options.kept.put(record);
    this.#record = record;
  }
}
