/**
 * The pool and the kernels of a host that kerf manages, taken over as they are: nothing is done to them by that, and nothing when they
 * are handed back.
 *
 * INVARIANTS
 * - What is taken over is one record: all of what the host kernel has of others' making, or nothing.
 * - Nothing is done to a kernel that is not in it, or that is another one by now (name and id).
 */
import type { Mutex } from '../core/mutex.ts';
import type { ForeignHost, SeenHost } from '../driver/multikernel/foreign.ts';
import type { PoolLease } from '../pool/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { checkIdle, type KerfFiles, readImage, removeImage } from './kerf-files.ts';
import { type ImportInput, isNothing, planImport } from './plan.ts';
import type { AdoptedHost, AdoptedKernel, AdoptionRecord, ImportPlan, KerfReport } from './types.ts';

export interface AdoptionOptions {
  kept: { get(): AdoptionRecord | null; put(record: AdoptionRecord | null): void };
  bootId: string;
  /** Throws `unavailable` on a machine whose kernel gives no parts of it away. */
  host(): Promise<ForeignHost>;
  files: KerfFiles;
  /** Of two daemons one has what kerf made. */
  lease: PoolLease;
  /** Who has what already. */
  owners(seen: SeenHost): Pick<ImportInput, 'ours' | 'cpuOwners' | 'functionOwners'>;
  mutex: Mutex;
}

export class Adoption {
  readonly #options: AdoptionOptions;

  constructor(options: AdoptionOptions) {
    this.#options = options;
  }

  get #record(): AdoptionRecord | null {
    return this.#options.kept.get();
  }

  async report(): Promise<KerfReport> {
    const host = await this.#options.host();
    return this.#report(host, await this.#plan(host));
  }

  /** Takes over what is there now; dry: says what would be. Rejects with `not-found`, and with `conflict` when any of it is refused. */
  import(isDry: boolean): Promise<KerfReport> {
    return this.#options.mutex.run(async () => {
      const { files, lease, bootId } = this.#options;
      const host = await this.#options.host();
      checkIdle(files);
      const plan = await this.#plan(host);
      if (isDry) return this.#report(host, plan);
      const { after, changes } = plan;
      const refused = changes.filter(({ action }) => action === 'refuse');
      if (refused.length > 0) throw refusal(refused);
      if (isNothing(after) && this.#record === null)
        throw new PolykernelError('not-found', 'there is nothing in the host kernel that others have made', {
          hint: 'See what there is: kerf show.',
        });
      if (changes.length > 0) {
        lease.take();
        // Whoever began meanwhile has left its mark by now.
        checkIdle(files);
        this.#keep(isNothing(after) ? null : { ...after, bootId });
        if (this.#record === null) lease.drop();
      }
      return this.#report(host, await this.#plan(host));
    });
  }

  start(name: string): Promise<void> {
    return this.#act(name, (host, { id }) => host.start(name, id));
  }

  stop(name: string, graceMs: number): Promise<void> {
    return this.#act(name, (host, { id }) => host.stop(name, id, graceMs));
  }

  /** Ends one and removes it. Rejects with `conflict` for one that runs, unless forced. */
  remove(name: string, isForced: boolean): Promise<void> {
    return this.#act(name, async (host, { id }) => {
      if (host.status(name, id) === 'active' && !isForced)
        throw new PolykernelError('conflict', `${name} runs`, {
          field: 'name',
          value: name,
          hint: `Stop it first: pk kerf stop ${name}. Or --force.`,
        });
      // One that is gone has to be forgotten only: what kerf says under its name may be of another by now.
      if (host.status(name, id) !== undefined) {
        await host.remove(name, id);
        removeImage(this.#options.files, name);
      }
      const { kernels, ...record } = this.#record!;
      this.#keep({ ...record, kernels: kernels.filter((kernel) => kernel.name !== name) });
    });
  }

  /**
   * `keep`: only forgets it. Else its pool goes back to the host kernel: rejects with `conflict` while anybody's kernel has part of it, and
   * with `unavailable` when the host kernel keeps some; what is there then is still this daemon's.
   */
  release(keep: boolean): Promise<void> {
    return this.#options.mutex.run(async () => {
      const record = this.#required();
      if (!keep) {
        checkIdle(this.#options.files);
        await this.#giveBack(record);
      }
      this.#keep(null);
      this.#options.lease.drop();
    });
  }

  async #giveBack({ pool }: AdoptedHost): Promise<void> {
    const host = await this.#options.host();
    const { instances, memory } = await host.look();
    const users = instances
      .filter(({ name, id, cpus }) => {
        const isIn = memory.some(
          ({ base, taken }) =>
            pool.chunks.some((chunk) => chunk.base === base) &&
            taken.some((region) => region.name.startsWith(`mk-instance-${id}-${name}-region-`)),
        );
        return isIn || cpus.some((cpu) => pool.cpus.includes(cpu));
      })
      .map(({ name }) => name);
    if (users.length > 0)
      throw new PolykernelError('conflict', `kernels have parts of the pool: ${users.join(', ')}`, {
        field: 'kerf',
        hint: 'Hand all back as it is (--keep), or remove them first: pk kerf rm NAME, pk rm NAME.',
      });
    const chunks = pool.chunks.map(({ base, bytes }) => ({ base, bytes }));
    await host.giveBack({ cpus: [...pool.cpus], functions: [...pool.functions], chunks });
    const left = (await host.look()).pool;
    const stays = [
      ...left.cpus.filter((cpu) => left.exists && pool.cpus.includes(cpu)).map((cpu) => `CPU ${cpu}`),
      ...left.chunks
        .filter(({ base }) => pool.chunks.some((chunk) => chunk.base === base))
        .map(() => 'a chunk of memory'),
      ...left.functions.filter(({ address }) => pool.functions.includes(address)).map(({ address }) => address),
    ];
    if (stays.length > 0)
      throw new PolykernelError('unavailable', `the host kernel keeps in its pool: ${stays.join(', ')}`, {
        field: 'kerf',
        hint: 'Something else uses it, such as a file system in its memory (/proc/iomem); or see dmesg.',
      });
  }

  #act(name: string, act: (host: ForeignHost, kernel: AdoptedKernel) => Promise<void>): Promise<void> {
    return this.#options.mutex.run(async () => {
      const kernel = this.#required().kernels.find((each) => each.name === name);
      if (kernel === undefined)
        throw new PolykernelError('not-found', `${name} is no kernel that was taken over of kerf`, {
          field: 'name',
          value: name,
          hint: 'Those that are: pk kerf ls. Take over what is new: pk kerf import.',
        });
      const host = await this.#options.host();
      checkIdle(this.#options.files);
      await act(host, kernel);
    });
  }

  #required(): AdoptionRecord {
    if (this.#record !== null) return this.#record;
    throw new PolykernelError('not-found', 'nothing was taken over of kerf', {
      field: 'kerf',
      hint: 'See what could be: pk kerf import --dry-run',
    });
  }

  async #plan(host: ForeignHost): Promise<ImportPlan> {
    const seen = await host.look();
    return planImport({
      ...{ seen, before: this.#record },
      ...this.#options.owners(seen),
      imageOf: (name) => readImage(this.#options.files, name),
    });
  }

  #report(host: ForeignHost, { changes }: ImportPlan): KerfReport {
    const { pool, kernels = [] } = this.#record ?? {};
    return {
      pool:
        pool === undefined ? null : { ...pool, memoryBytes: pool.chunks.reduce((sum, { bytes }) => sum + bytes, 0) },
      kernels: kernels.map((kernel) => ({ ...kernel, status: host.status(kernel.name, kernel.id) ?? 'gone' })),
      changes,
    };
  }

  #keep(record: AdoptionRecord | null): void {
    this.#options.kept.put(record);
  }
}

function refusal(refused: ImportPlan['changes']): PolykernelError {
  const [first] = refused;
  const more = refused.length > 1 ? ` (and ${refused.length - 1} more: see \`pk kerf import --dry-run\`)` : '';
  return new PolykernelError('conflict', `nothing was taken over: ${first!.what}: ${first!.text}${more}`, {
    field: 'kerf',
    value: first!.what,
  });
}
