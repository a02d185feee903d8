/** CPUs and memory that change hands while kernels run: planned on what is, and carried out all or nothing. */
import type { Mutex } from '../core/mutex.ts';
import type { Steps } from '../core/steps.ts';
import { type InstanceStatus, type Instances, POOL, type Size } from '../instance/contract.ts';
import { isShare } from '../instance/size.ts';
import { type HostPool, reservedBy } from '../pool/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { SizeStep } from './plan-sizes.ts';
import type { MoveReport, MoveRequest, SizeRequest } from './requests.ts';

export interface MovesOptions {
  instances: Instances;
  hostPool: HostPool;
  steps: Pick<Steps<SizeStep>, 'planned'>;
  /** Of all plans of the whole machine. */
  mutex: Mutex;
}

type Progress = (text: string) => void;

/** Who is asked, and what he is to have. */
interface Wanted {
  name: string;
  size(now: Size): Size;
}

export class Moves {
  readonly #options: MovesOptions;

  constructor(options: MovesOptions) {
    this.#options = options;
  }

  /** Gives a kernel another size. Throws `invalid`, `conflict` or `not-found`; a failure of a step leaves all as it was. */
  resize(name: string, request: SizeRequest, progress: Progress, signal: AbortSignal): Promise<MoveReport> {
    const size = ({ cpus, memoryBytes }: Size): Size => ({
      cpus: request.cpus ?? cpus,
      memoryBytes: request.memoryBytes ?? memoryBytes,
    });
    return this.#change([{ name, size }], request.dryRun ?? false, progress, signal);
  }

  /** Moves CPUs or memory from one kernel to another; either one may be the pool. Throws as resize(). */
  move(request: MoveRequest, progress: Progress, signal: AbortSignal): Promise<MoveReport> {
    const { from, to, resource, amount } = request;
    if (from === to) {
      throw new PolykernelError('invalid', `${from} is both who gives and who gets`, {
        field: 'to',
        value: to,
        hint: 'Name two kernels, or `pool` for what nobody owns.',
      });
    }
    const wanted = [
      { name: from, size: (now: Size) => changed(now, resource, -amount) },
      { name: to, size: (now: Size) => changed(now, resource, amount) },
    ];
    return this.#change(
      wanted.filter(({ name }) => name !== POOL),
      request.dryRun ?? false,
      progress,
      signal,
    );
  }

  /** Planned on what is while nobody else plans; a guest that is slow to give holds nobody else back. */
  async #change(
    wanted: readonly Wanted[],
    dryRun: boolean,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<MoveReport> {
    const { mutex, instances, hostPool, steps } = this.#options;
    const things = wanted.map(({ name }) => `instance ${instances.get(name).name}`);
    const { report } = await steps.planned(
      async (underWay) => {
        const { planSizes } = await import('./plan-sizes.ts');
        const resized = wanted.map(({ name, size }) => {
          const { status, record, driver } = instances.get(name);
          const { cpuMoves } = driver.capabilities();
          return { status, definition: record.definition, size: size(status.size), cpuMoves };
        });
        checkAlike(
          resized.map(({ status }) => status),
          resized.some(({ status, size }) => status.size.cpus !== size.cpus),
        );
        const ledger = instances.ledger();
        const reserved = reservedBy(ledger, underWay);
        const planned = planSizes(resized, { ledger, reserved, topology: hostPool.topology() });
        const report: MoveReport = {
          steps: planned.map(({ text, byHand }) => ({ text, undo: byHand })),
          sizes: resized.map(({ status, size }) => ({ name: status.spec.name, before: status.size, after: size })),
        };
        return { steps: dryRun ? [] : planned, report };
      },
      { mutex, things, progress, signal, onFailure: 'undo' },
    );
    return report;
  }
}

const changed = (now: Size, resource: MoveRequest['resource'], by: number): Size =>
  resource === 'cpu'
    ? { ...now, cpus: Math.round((now.cpus + by) * 1000) / 1000 }
    : { ...now, memoryBytes: now.memoryBytes + by };

/** What one owns and the other only has cannot pass between them, nor CPUs between one that has a share of them and one that has them whole. */
function checkAlike(statuses: readonly InstanceStatus[], isOfCpus: boolean): void {
  const [sharer, whole] = [true, false].map(
    (wanted) => statuses.find(({ spec }) => isShare(spec) === wanted)?.spec.name,
  );
  if (isOfCpus && sharer !== undefined && whole !== undefined) {
    throw new PolykernelError('conflict', `${sharer} has a share of CPUs, and ${whole} has whole ones`, {
      field: 'to',
      value: whole,
      hint: 'Move between two that have a share, or two that have whole CPUs.',
    });
  }
  const owner = statuses.find(({ placement }) => placement !== null)?.spec.name;
  const other = statuses.find(({ placement }) => placement === null)?.spec.name;
  if (owner === undefined || other === undefined) return;
  throw new PolykernelError('conflict', `${owner} owns a part of the pool, and ${other} owns nothing`, {
    field: 'to',
    value: other,
    hint: 'Move between two that own something, or two that do not; `pool` stands for what nobody owns.',
  });
}
