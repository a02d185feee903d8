import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelKernel, type ModelKernelOptions } from '../../test/support/model-kernel.ts';
import { type HostAct, perform, planHostActs, readBack, undo } from './acts.ts';

const MIB = 2 ** 20;
const usual: ModelKernelOptions = {
  cpus: 4,
  interrupts: [
    { irq: 0, list: '0-3', managed: true },
    { irq: 24, list: '0-3', managed: false },
    { irq: 25, list: '2-3', managed: false },
    { irq: 26, list: '0', managed: false },
  ],
  cgroups: 'v2',
  partitions: { valid: ['root', 'isolated'], unknown: [] },
  enabled: ['memory'],
  hugePages: { now: 4, free: 1, most: 100 },
  root: true,
};
const request = {
  poolCpus: [2, 3],
  housekeeping: [0, 1],
  hugePages: [{ node: 0, sizeBytes: 2 * MIB, count: 8 }],
};

async function performAll(kernel: ModelKernel, acts: readonly HostAct[]): Promise<string[]> {
  const notes: string[] = [];
  for (const act of acts) {
    const { note } = await perform(kernel, act);
    if (note !== undefined) notes.push(note);
  }
  return notes;
}
const unperform = async (kernel: ModelKernel, acts: readonly HostAct[]) => {
  for (const act of [...acts].reverse()) await undo(kernel, act);
};

describe('a pool', () => {
  it('has its CPUs to itself on a kernel with cgroup v2', async () => {
    const kernel = new ModelKernel(usual);
    const { acts, notes } = planHostActs(kernel, request);
    expect(notes).toEqual([]);
    expect(await performAll(kernel, acts)).toEqual([
      'interrupt 0 cannot be moved to CPUs 0-1: the host kernel manages it itself',
    ]);
    expect(kernel.read('/proc/irq/24/smp_affinity_list')).toBe('0-1');
    // It had no other CPU.
    expect(kernel.read('/proc/irq/25/smp_affinity_list')).toBe('0-1');
    expect(kernel.read('/proc/irq/default_smp_affinity')).toBe('3');
    expect(kernel.read('/sys/fs/cgroup/cgroup.subtree_control')).toBe('memory cpuset cpu');
    expect(kernel.read('/sys/fs/cgroup/polykernel/cpuset.cpus')).toBe('2-3');
    expect(kernel.read('/sys/fs/cgroup/polykernel/cpuset.cpus.partition')).toBe('isolated');
    expect(kernel.read('/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages')).toBe('11');
    const lost = readBack(kernel, acts).filter(({ holds }) => !holds);
    expect(lost.map(({ what, wanted, real }) => ({ what, wanted, real }))).toEqual([
      { what: 'interrupt 0', wanted: '0-1', real: '0-3' },
    ]);
  });

  it.each([
    ['isolated is new', { valid: ['root'], unknown: ['isolated'] }, 'root', undefined],
    [
      'it cannot have the CPUs',
      { valid: [], unknown: [] },
      'member',
      'the CPUs of the pool cannot be made a partition of their own: Cpu list in cpuset.cpus not exclusive',
    ],
  ])('takes the partition it can get: %s', async (_, partitions, real, note) => {
    const kernel = new ModelKernel({ ...usual, interrupts: [], partitions });
    expect(await performAll(kernel, planHostActs(kernel, request).acts)).toEqual(note === undefined ? [] : [note]);
    expect(kernel.read('/sys/fs/cgroup/polykernel/cpuset.cpus.partition')).toBe(real);
  });

  it('confines with cgroup v1 without taking CPUs from anybody, and says so', async () => {
    const kernel = new ModelKernel({ ...usual, cgroups: 'v1', interrupts: [] });
    const { acts, notes } = planHostActs(kernel, request);
    expect(notes).toEqual([expect.stringContaining('cgroup v2 can')]);
    expect(await performAll(kernel, acts)).toEqual([]);
    expect(kernel.read('/sys/fs/cgroup/cpuset/polykernel/cpuset.cpus')).toBe('0-3');
    expect(kernel.read('/sys/fs/cgroup/cpu/polykernel/tasks')).toBe('');
  });

  it('of an ordinary user changes nothing, and says what is missing', () => {
    const { acts, notes } = planHostActs(new ModelKernel({ ...usual, root: false }), request);
    expect(acts).toEqual([]);
    expect(notes).toEqual([
      'only root may make control groups: CPUs are kept apart by affinity alone',
      '4 interrupts may still fire on CPUs of the pool: only root may move them (/proc/irq)',
      '7 huge pages of 2 MiB on node 0 are missing, and only root may reserve them',
    ]);
  });

  it('says how many huge pages could not be had, and gives back those it got', async () => {
    const kernel = new ModelKernel({ ...usual, interrupts: [], hugePages: { now: 4, free: 1, most: 6 } });
    const before = kernel.snapshot();
    const { acts } = planHostActs(kernel, request);
    expect(await performAll(kernel, acts)).toEqual([expect.stringMatching(/^only 2 of 7 huge pages of 2 MiB/)]);
    await unperform(kernel, acts);
    expect(kernel.snapshot()).toEqual(before);
  });
});

describe('undo', () => {
  it('leaves what somebody else has changed since, and says so', async () => {
    const kernel = new ModelKernel(usual);
    const { acts } = planHostActs(kernel, request);
    await performAll(kernel, acts);
    kernel.write('/proc/irq/24/smp_affinity_list', '1');
    const act = acts.find((each) => each.kind === 'irq' && each.irq === 24)!;
    expect(await undo(kernel, act)).toEqual({
      done: false,
      note: 'interrupt 24 is left on CPUs 1: somebody else has moved it',
    });
    expect(kernel.read('/proc/irq/24/smp_affinity_list')).toBe('1');
  });

  it('of an interrupt whose device is gone is nothing', async () => {
    const kernel = new ModelKernel(usual);
    const { acts } = planHostActs(kernel, request);
    await performAll(kernel, acts);
    kernel.files.delete('/proc/irq/24/smp_affinity_list');
    const act = acts.find((each) => each.kind === 'irq' && each.irq === 24)!;
    expect(await undo(kernel, act)).toEqual({ done: true });
    expect(await perform(kernel, act)).toEqual({ done: true });
  });

  it('keeps the groups while a kernel runs in one, and the next pool remembers what to undo', async () => {
    const kernel = new ModelKernel({ ...usual, interrupts: [] });
    const before = kernel.snapshot();
    const first = planHostActs(kernel, request).acts;
    await performAll(kernel, first);
    kernel.makeDirectory('/sys/fs/cgroup/polykernel/web');
    kernel.makeDirectory('/sys/fs/cgroup/polykernel/gone');
    kernel.busy.add('/sys/fs/cgroup/polykernel/web');
    await unperform(kernel, first);
    expect(kernel.directories('/sys/fs/cgroup/polykernel')).toEqual(['web']);
    const second = planHostActs(kernel, { ...request, poolCpus: [3], housekeeping: [0, 1, 2], previous: first }).acts;
    expect(await performAll(kernel, second)).toEqual([]);
    expect(kernel.read('/sys/fs/cgroup/polykernel/cpuset.cpus')).toBe('3');
    kernel.busy.clear();
    await unperform(kernel, second);
    expect(kernel.snapshot()).toEqual(before);
  });

  const machines: fc.Arbitrary<ModelKernelOptions> = fc.record({
    cpus: fc.constant(4),
    interrupts: fc.uniqueArray(
      fc.record({
        irq: fc.integer({ min: 0, max: 30 }),
        list: fc.constantFrom('0', '0-3', '2-3', '1,3', '3'),
        managed: fc.boolean(),
      }),
      { selector: ({ irq }) => irq, maxLength: 6 },
    ),
    cgroups: fc.constantFrom('v1', 'v2', 'none'),
    partitions: fc.constantFrom(
      { valid: ['root', 'isolated'], unknown: [] },
      { valid: ['root'], unknown: ['isolated'] },
      { valid: [], unknown: [] },
    ),
    enabled: fc.subarray(['cpuset', 'cpu', 'memory']),
    hugePages: fc
      .record({ now: fc.nat(10), used: fc.nat(10), more: fc.nat(10) })
      .map(({ now, used, more }) => ({ now, free: Math.max(0, now - used), most: now + more })),
    root: fc.boolean(),
  });
  // An act, begun but not known to be done, may be done again or undone at any time: that is how a crash looks.
  const steps = fc.array(fc.record({ act: fc.nat(40), does: fc.boolean() }), { maxLength: 20 });

  it('restores the host whatever was done of it, how often, and wherever the process died', async () => {
    await fc.assert(
      fc.asyncProperty(machines, fc.nat(40), steps, async (options, done, again) => {
        const kernel = new ModelKernel(options);
        const before = kernel.snapshot();
        // Written down and read again, as the daemon does.
        const acts: HostAct[] = JSON.parse(JSON.stringify(planHostActs(kernel, request).acts));
        expect(kernel.snapshot()).toEqual(before);
        await performAll(kernel, acts.slice(0, done));
        for (const { act, does } of again) {
          const chosen = acts[act % Math.max(1, acts.length)];
          if (chosen !== undefined) await (does ? perform : undo)(kernel, chosen);
        }
        await unperform(kernel, acts);
        expect(kernel.snapshot()).toEqual(before);
        await unperform(kernel, acts);
        expect(kernel.snapshot()).toEqual(before);
      }),
      { numRuns: 500 },
    );
  });

  it('follows doing it twice as doing it once', async () => {
    await fc.assert(
      fc.asyncProperty(machines, async (options) => {
        const kernel = new ModelKernel(options);
        const { acts } = planHostActs(kernel, request);
        await performAll(kernel, acts);
        const once = kernel.snapshot();
        await performAll(kernel, acts);
        expect(kernel.snapshot()).toEqual(once);
      }),
      { numRuns: 200 },
    );
  });
});
