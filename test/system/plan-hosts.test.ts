/** The same stack planned for every machine of the fixtures. */
import { describe, expect, it } from 'vitest';
import { drawMap } from '../../src/cli/machine/draw.ts';
import { planText } from '../../src/cli/stack/plan-text.ts';
import { checkLedger } from '../../src/ledger/index.ts';
import { parseStack, planFor } from '../../src/stack/contract.ts';
import { formatCpuList } from '../../src/sys/cpu-list.ts';
import type { Topology } from '../../src/topology/index.ts';
import { hostNames, hostTopology } from '../fixtures/hosts/index.ts';

/** Three whole cores if there are as many, all else that the pool needs left to the defaults. */
function stackFor(topology: Topology): string {
  const allowed = new Set(topology.limits.cpus ?? topology.cpus.map((cpu) => cpu.id));
  const usable = topology.cpus.filter((cpu) => cpu.online && allowed.has(cpu.id));
  const kept = usable[0]!.core;
  const pool = usable.filter((cpu) => cpu.core !== kept).map((cpu) => cpu.id);
  const shared = pool.at(-1);
  return `
pool: {cpus: "${formatCpuList(pool)}", shared: ${shared}, memory: 512MiB}
kernels:
  one: {command: [x], partition: {cpus: {count: 1, smt: any}, memory: 64MiB}}
  job: {command: [x], partition: {cpus: {shared: 0.5}, memory: 64MiB}}
  spare: {command: [x]}
  wide: {command: [x], partition: {cpus: {count: 4, cache: shared-l3}, memory: 64MiB}}
`;
}

describe.each(hostNames)('%s', (name) => {
  const topology = hostTopology(name);
  const { stack, problems } = parseStack(stackFor(topology), { directory: '/', defaultName: 'test' });

  it('gives a plan in which nothing is owned twice, or says what is missing', () => {
    expect(problems).toEqual([]);
    const plan = planFor(stack!, topology);
    const placed = plan.kernels.flatMap(({ name, placement }) =>
      placement === null ? [] : [[name, placement.partition] as const],
    );
    expect(checkLedger({ pool: plan.pool.after, partitions: Object.fromEntries(placed) })).toEqual([]);
    const names = [...placed.map(([owner]) => owner), ...plan.refused.map((refused) => refused.name)].sort();
    expect(names).toEqual(['job', 'one', 'wide']);
    for (const { message, hint } of plan.refused) expect([message, hint].join()).not.toMatch(/undefined|NaN|\[object/);
    const text = planText(plan, false);
    expect(text).not.toMatch(/undefined|NaN|\[object/);
    expect(planText(planFor(stack!, hostTopology(name)), false)).toBe(text);
    const map = drawMap(
      topology,
      { pool: plan.pool.after, partitions: Object.fromEntries(placed) },
      { color: false, width: 80 },
    );
    expect(map.split('\n').every((line) => line.length <= 80)).toBe(true);
  });
});

it('takes a kernel called constructor for what it is', () => {
  const text = 'pool: {cpus: 2-3, memory: 64MiB}\nkernels: {constructor: {command: [x], partition: {memory: 64MiB}}}';
  const { stack } = parseStack(text, { directory: '/', defaultName: 'test' });
  const plan = planFor(stack!, hostTopology('desktop'));
  expect(plan.kernels[0]).toMatchObject({ name: 'constructor', action: 'create' });
  expect(planText(plan, false)).not.toMatch(/undefined|NaN/);
});

it('refuses functions that the machine does not have', () => {
  const topology = hostTopology('desktop');
  const there = topology.pci[0]!.address;
  const text = `kernels: {a: {command: [x], devices: ["${there}=nic", "0000:fe:1f.7", vf:any]}}`;
  const { stack } = parseStack(text, { directory: '/', defaultName: 'test' });
  const { refused, steps } = planFor(stack!, topology);
  expect([refused, steps]).toMatchObject([
    [
      { name: 'a', field: 'devices[1]', message: 'there is no PCI function 0000:fe:1f.7' },
      { name: 'a', field: 'devices[2]', message: 'no virtual function is free: there are none' },
    ],
    [],
  ]);
});
