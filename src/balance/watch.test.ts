/** Windows that policies are shown, made of what is. */
import { expect, it } from 'vitest';
import type { InstanceStatus } from '../instance/contract.ts';
import type { Partition } from '../ledger/index.ts';
import type { InstanceStats } from '../telemetry/contract.ts';
import { Observer } from './observer.ts';
import { groupOf, windowOf } from './watch.ts';

const AT = 1_000_000;

function sharer(name: string, milliCpus: number, cpus: number): InstanceStatus {
  const shared = { cpus: [1], milliCpus: Math.round(cpus * 1000), weight: 100 };
  return {
    spec: {
      ...{
        name,
        cpus: 1,
        priority: name === 'web' ? 3 : 0,
        elastic: { cpus: { min: 0.1, max: 0.9 }, memoryBytes: null },
      },
      partition: { cpus: { kind: 'shared', milliCpus, weight: 100 } },
    },
    ...{ state: 'running', size: { cpus, memoryBytes: 1 }, placement: { partition: { cpus: [], shared } } },
  } as unknown as InstanceStatus;
}

const statsOf = (name: string, busyWithin: number, real: number): InstanceStats => {
  const guest = { at: new Date(AT).toISOString(), busy: busyWithin, runQueue: 1 };
  return { id: name, name, guest, host: { cpu: real }, requests: null } as unknown as InstanceStats;
};

it('shows those who share a CPU what they have of it, what of it is free, and what the host saw them use', () => {
  const instances = [sharer('web', 250, 0.3), sharer('batch', 500, 0.4)];
  const pool = { cpus: [1], sharedCpus: [1], memory: [], devices: [] };
  const partitions = Object.fromEntries(
    instances.map(({ spec, placement }) => [
      spec.name,
      { ...placement!.partition, memory: [], hugePageBytes: null, devices: [] } satisfies Partition,
    ]),
  );
  const present = {
    ...{ instances, ledger: { pool, partitions }, promises: new Map([['web', 100]]), isHeld: () => false, nowMs: AT },
    memoryStep: () => 2 ** 20,
    stats: new Map([
      ['web', statsOf('web', 1, 0.29)],
      ['batch', statsOf('batch', 0.9, 0.1)],
    ]),
  };
  expect(instances.map(groupOf)).toEqual(['share of 1', 'share of 1']);
  const { cpus, grain, kernels, observations } = windowOf(present, instances, 1, new Observer(), undefined);
  expect({ cpus, grain }).toEqual({ cpus: 1, grain: 0.05 });
  expect(kernels).toMatchObject([
    { name: 'web', kind: 'service', min: 0.1, max: 0.9, entitlement: 0.25, priority: 3 },
    { name: 'batch', kind: 'batch', entitlement: 0.5 },
  ]);
  // A kernel that is kept from running believes itself busy.
  expect(observations).toMatchObject([
    { cpus: 0.3, busy: 0.29, throttled: 1, waiting: 0 },
    { cpus: 0.4, busy: 0.1, throttled: 0 },
  ]);
});
