/** The kind of step that changes who owns what of the machine, and how it is carried out. */
import { type BareStep, type Executors, type Step, thingOf } from '../core/step.ts';
import { type InstanceRecord, type Instances, partitionBy } from '../instance/contract.ts';
import { type Ledger, type Partition, type Pool, type Promised, reserved } from '../ledger/index.ts';
import type { HostPool } from './host-pool.ts';

/** Changes of the pool itself are of this thing. */
export const THE_POOL = thingOf({ kind: 'pool.assign', name: 'pool' });

/** What an instance becomes. */
export interface Assignment extends Pick<InstanceRecord, 'spec' | 'placement' | 'definition'> {
  name: string;
}

/** Records the pool and who owns what of it, in one transaction; then makes the pool real on the host kernel, and has kernels that run sit on what they own. */
interface Assign extends BareStep<'pool.assign'> {
  /** null = it stays as it is; `released` = there is none any more. */
  pool: Pool | 'released' | null;
  kernels: readonly Assignment[];
}

/** The kind, and what takes it back. */
export type PoolStep = Step<Assign, Assign>;

/** `text` says what is made of the pool and of whom. */
export const assignPool = (
  after: { pool: Pool | null; kernels: readonly Assignment[] },
  before: { pool: Pool | null; kernels: readonly Assignment[] },
  text: string,
): PoolStep => {
  const made = after.pool !== null && before.pool === null;
  const was = after.pool === null ? null : (before.pool ?? 'released');
  return {
    ...assignment(after.pool, after.kernels, text),
    undo: assignment(was, before.kernels, 'record pool and kernels as they were'),
    byHand: made ? 'pk pool release' : 'apply the stack file as it was',
  };
};

export function poolExecutors(instances: () => Instances, hostPool: HostPool): Executors<PoolStep> {
  const poolIs = (pool: Assign['pool']) =>
    pool === null || (hostPool.isSettled && same(hostPool.pool, pool === 'released' ? null : pool));
  /** Another pool concerns all there are. */
  const ofWhom = (pool: Assign['pool'], kernels: readonly Assignment[]) =>
    pool === null ? kernels.map(({ name }) => name) : undefined;
  return {
    'pool.assign': {
      check({ kernels }) {
        for (const { name } of kernels) instances().get(name);
      },
      async run({ pool, kernels }) {
        await instances().update(
          new Map(kernels.map(({ name, ...change }) => [name, change])),
          pool === 'released' ? null : pool,
        );
        if (pool === 'released') await hostPool.set(null);
        else if (pool !== null) await hostPool.recover();
        // With the record, for what a kernel owns no more may be given to another from here on.
        await instances().repinAll(ofWhom(pool, kernels));
      },
      async verify({ pool, kernels }) {
        const isRecorded = ({ name, placement, definition }: Assignment) => {
          const record = instances().find(name)?.record;
          return record !== undefined && same([record.placement, record.definition], [placement, definition]);
        };
        if (!poolIs(pool) || !kernels.every(isRecorded)) return false;
        // The record changes first: a daemon that ended then has moved no kernel.
        return await instances().areInPlace(ofWhom(pool, kernels));
      },
      afterCrash: 'finish',
    },
  };
}

/** What steps under way are to give somebody of the pool, and is nobody's yet, as reserved() has it. */
export function reservedBy(ledger: Ledger, underWay: readonly BareStep[]): Record<string, Partition> {
  if (ledger.pool === null || underWay.length === 0) return {};
  const promised = underWay.flatMap((step): Promised[] => {
    const partition = partitionBy(step);
    if (partition !== null) return [{ owner: step.name, partition }];
    if (step.kind !== 'pool.assign') return [];
    return (step as Assign).kernels.flatMap(({ name, placement }) =>
      placement === null ? [] : [{ owner: name, partition: placement.partition }],
    );
  });
  return reserved(ledger, promised);
}

const assignment = (pool: Assign['pool'], kernels: readonly Assignment[], text: string): Assign => ({
  kind: 'pool.assign',
  // Of changes of the pool there is one at a time; what changes hands within it is the business of those who own it.
  name: pool === null ? kernels.map(({ name }) => name).join(' and ') : 'pool',
  phase: 'assign',
  text,
  also: kernels.map(({ name }) => `instance ${name}`),
  uses: [THE_POOL],
  pool,
  kernels,
});

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
