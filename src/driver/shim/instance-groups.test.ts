import { beforeEach, describe, expect, it } from 'vitest';
import { ModelKernel } from '../../../test/support/model-kernel.ts';
import { perform, planHostActs } from '../../pool/acts.ts';
import { boundOf, InstanceGroups } from './instance-groups.ts';

const settings = { cpus: [2, 3], nodes: [0], weight: 200, mostCpus: null };

function machine(cgroups: 'v1' | 'v2' | 'none', root = true): ModelKernel {
  return new ModelKernel({
    cpus: 4,
    interrupts: [],
    cgroups,
    partitions: { valid: ['isolated'], unknown: [] },
    enabled: [],
    hugePages: { now: 0, free: 0, most: 0 },
    root,
  });
}

describe.each(['v1', 'v2'] as const)('on a host with cgroup %s', (version) => {
  let kernel: ModelKernel;
  let groups: InstanceGroups;
  const pool = version === 'v1' ? '/sys/fs/cgroup/cpuset/polykernel' : '/sys/fs/cgroup/polykernel';

  beforeEach(() => {
    kernel = machine(version);
    groups = new InstanceGroups(kernel);
  });
  const givePool = async () => {
    for (const act of planHostActs(kernel, { poolCpus: [2, 3], housekeeping: [0, 1] }).acts) await perform(kernel, act);
  };

  it('does nothing while there is no pool', () => {
    const before = kernel.snapshot();
    groups.set('a', settings);
    groups.add('a', [{ pid: 1, tid: 1 }]);
    expect(groups.joinFiles('a')).toEqual([]);
    expect(groups.read('a')).toEqual([]);
    expect(kernel.snapshot()).toEqual(before);
  });

  it('makes a group for each kernel, changes it and removes it', async () => {
    await givePool();
    const before = kernel.snapshot();
    groups.set('a', settings);
    expect(Object.assign({}, ...groups.read('a').map(({ values }) => values))).toMatchObject(
      version === 'v1'
        ? { 'cpuset.cpus': '2-3', 'cpuset.mems': '0', 'cpu.shares': '2048' }
        : { 'cpuset.cpus': '2-3', 'cpuset.mems': '0', 'cpu.weight': '200' },
    );
    groups.set('a', { cpus: [3], nodes: [], weight: null, mostCpus: null });
    expect(kernel.read(`${pool}/a/cpuset.cpus`)).toBe('3');
    // All nodes: version 2 has a word for it, version 1 wants a list.
    expect(kernel.read(`${pool}/a/cpuset.mems`)).toBe(version === 'v1' ? '0' : '');
    await groups.remove('a');
    expect(kernel.snapshot()).toEqual(before);
  });

  it('bounds the time of a kernel, changes that, and takes the bound away', async () => {
    await givePool();
    const bound = (mostCpus: number | null) => {
      groups.set('a', { ...settings, mostCpus });
      return boundOf(groups.read('a'));
    };
    expect(bound(null)).toBeNull();
    expect(bound(0.25)).toBe(0.25);
    const file = version === 'v1' ? '/sys/fs/cgroup/cpu/polykernel/a/cpu.cfs_quota_us' : `${pool}/a/cpu.max`;
    expect(kernel.read(file)).toBe(version === 'v1' ? '5000' : '5000 20000');
    expect(bound(0.9)).toBe(0.9);
    // The host kernel gives no less than a millisecond.
    expect(bound(0.01)).toBe(0.01);
    expect(bound(1.5)).toBe(1.5);
    expect(bound(null)).toBeNull();
  });

  it('names the file when the host kernel refuses', async () => {
    await givePool();
    groups.set('a', settings);
    kernel.files.delete(`${pool}/a/cpuset.cpus`);
    expect(() => groups.set('a', settings)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(`writing 2-3 to ${pool}/a/cpuset.cpus failed`) }),
    );
  });
});

it('lets a process into the domain of a threaded group first, unless it is there', async () => {
  const kernel = machine('v2');
  const groups = new InstanceGroups(kernel);
  for (const act of planHostActs(kernel, { poolCpus: [2], housekeeping: [0] }).acts) await perform(kernel, act);
  groups.set('a', settings);
  kernel.files.set('/proc/10/cgroup', '0::/system.slice/polykernel.service');
  groups.add('a', [
    { pid: 10, tid: 11 },
    { pid: 10, tid: 12 },
  ]);
  expect(kernel.read('/sys/fs/cgroup/cgroup.procs')).toBe('10');
  expect(kernel.read('/sys/fs/cgroup/polykernel/a/cgroup.threads')).toBe('12');
  kernel.write('/sys/fs/cgroup/cgroup.procs', '');
  kernel.files.set('/proc/10/cgroup', '0::/');
  groups.add('a', [{ pid: 10, tid: 13 }]);
  expect(kernel.read('/sys/fs/cgroup/cgroup.procs')).toBe('');
});

it.each(['v1', 'v2'] as const)('moves nobody who has the number of one that has ended (cgroup %s)', async (version) => {
  const kernel = machine(version);
  const groups = new InstanceGroups(kernel);
  for (const act of planHostActs(kernel, { poolCpus: [2], housekeeping: [0] }).acts) await perform(kernel, act);
  groups.set('a', settings);
  kernel.files.set('/proc/10/cgroup', '0::/system.slice/cron.service');
  const before = kernel.snapshot();
  groups.add('a', [{ pid: 10, tid: 10 }], () => false);
  groups.expel('a', [10], () => false);
  expect(kernel.snapshot()).toEqual(before);
});

it('has affinity alone where there are no control groups, or no right to make any', () => {
  for (const kernel of [machine('none'), machine('v1', false)]) {
    const groups = new InstanceGroups(kernel);
    groups.set('a', settings);
    expect(groups.read('a')).toEqual([]);
  }
});
