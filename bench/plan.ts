/** The planner on a large modelled host, and how close it comes to the cheapest plan on small ones. */
import type { CpuRequest, PlacementInput } from '../src/ledger/index.ts';
import { place, placementCost } from '../src/ledger/planner.ts';
import { exactPlacement } from '../test/support/exact-placement.ts';
import { modelHost, modelPool } from '../test/support/model-host.ts';
import { cores, GIB, sharedPart, size, threads, wants } from '../test/support/placement-request.ts';
import { randomPlacement } from '../test/support/random-placement.ts';
import { atMost, type Bench, median } from './row.ts';
import { topologyRows } from './topology.ts';

const ROUNDS = 7;
const CASES = 200;

/** `count` instances for 1,024 CPUs in 8 nodes, 320 of them shared: 6 of 10 share, 2 have a thread, 2 whole cores. */
function largeInput(count: number): PlacementInput {
  const shape = { packages: 4, nodesPerPackage: 2, l3PerNode: 8, coresPerL3: 8, threads: 2 };
  const topology = modelHost({ ...shape, memoryBytesPerNode: 256 * GIB });
  const pool = modelPool(
    topology,
    [0, 1, 2, 3],
    topology.cpus.slice(-320).map((cpu) => cpu.id),
  );
  const requests = Array.from({ length: count }, (_, index) => {
    const cpus: CpuRequest =
      index % 10 < 6 ? sharedPart([250, 500, 750][index % 3]!) : index % 10 < 8 ? threads(1) : cores(1 + (index % 2));
    return wants(`i${index}`, cpus, { memory: size(1 + (index % 2)) });
  });
  return { topology, pool, requests, fixed: {} };
}

export const plan: Bench = async (progress) => {
  const inputs = { few: largeInput(100), some: largeInput(300), many: largeInput(1000) };
  const times = { few: [] as number[], some: [] as number[], many: [] as number[] };
  const outputs = new Set<string>();
  for (let round = -1; round < ROUNDS; round++) {
    progress(`plan: round ${round + 1} of ${ROUNDS}`);
    for (const name of ['few', 'some', 'many'] as const) {
      const began = performance.now();
      const result = place(inputs[name]);
      const seconds = (performance.now() - began) / 1000;
      if (name === 'many') outputs.add(JSON.stringify(result));
      // The first round warms the compiler up and is not counted.
      if (round >= 0) times[name].push(seconds);
    }
  }
  const { refused } = place(inputs.many);
  const seconds = median(times.many);
  const each = seconds / 1000;

  progress(`plan: ${CASES} small cases against the exact optimum`);
  const ratios: number[] = [];
  for (let seed = 1; seed <= CASES; seed++) {
    const input = randomPlacement(seed);
    const least = placementCost(input, exactPlacement(input).partitions);
    const { cost } = place(input);
    ratios.push(cost === least ? 1 : cost / least);
  }
  const goal = { of: 'value' as const, peerValue: 1 };
  return [
    atMost(1, {
      ...goal,
      name: 'plan 1,000 instances on 1,024 CPUs in 8 nodes',
      value: seconds,
      unit: 's',
      peer: 'one second',
      note: `${refused.length} refused; median of ${ROUNDS}, slowest ${Math.max(...times.many).toFixed(2)} s`,
    }),
    atMost(1.5, {
      ...goal,
      name: 'time per instance, 1,000 against 100',
      value: each / (median(times.few) / 100),
      unit: 'x',
      peer: 'no growth',
      note: 'of 100 the search keeps the best two plans side by side, of 300 and more the best one only',
    }),
    atMost(1.5, {
      ...goal,
      name: 'time per instance, 1,000 against 300',
      value: each / (median(times.some) / 300),
      unit: 'x',
      peer: 'no growth',
    }),
    atMost(1.02, {
      ...goal,
      name: `cost against the exact optimum, worst of ${CASES} small cases`,
      value: Math.max(...ratios),
      unit: 'x',
      peer: 'exact solver',
    }),
    atMost(1.02, {
      ...goal,
      name: `cost against the exact optimum, mean of ${CASES} small cases`,
      value: ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length,
      unit: 'x',
      peer: 'exact solver',
    }),
    atMost(1, {
      ...goal,
      name: `different outputs of ${ROUNDS + 1} runs on the same input`,
      value: outputs.size,
      unit: 'outputs',
      peer: 'byte-identical',
    }),
    ...(await topologyRows(progress)),
  ];
};
