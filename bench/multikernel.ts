/** Kernels beside the host's: what it costs to say for many of them what they are to have, in trees that a kernel takes. */
import { decode } from '../src/devicetree/index.ts';
import { type Change, overlays, validateMultikernel } from '../src/devicetree/multikernel/index.ts';
import { atMost, type Bench } from './row.ts';
import { interleaved } from './timing.ts';

const FEW = 200;
const MANY = 800;
const ROUNDS = 15;

/** Each instance with two CPUs, and one more that comes from the host. */
const plan = (count: number): Change[] =>
  Array.from({ length: count }, (_, index) => index).flatMap((index): Change[] => [
    { target: 'pool', addCpus: [3 * index + 1, 3 * index + 2, 3 * index + 3] },
    { target: 'create', name: `kernel-${index}`, cpus: [3 * index + 1, 3 * index + 2], memoryBytes: 2 ** 28, node: 0 },
    { target: 'instance', name: `kernel-${index}`, addCpus: [3 * index + 3] },
  ]);

/** Milliseconds of the CPU: what others do meanwhile does not count. Throws when what is written would be refused. */
async function written(count: number): Promise<number> {
  const began = process.threadCpuUsage();
  for (const blob of overlays(plan(count))) {
    const { findings } = validateMultikernel(decode(blob));
    if (findings.length > 0) throw new Error(findings[0]!.problem);
  }
  const { user, system } = process.threadCpuUsage(began);
  return (user + system) / 1000;
}

export const multikernel: Bench = async (progress) => {
  progress(`multikernel: plan, encode and validate ${FEW} and ${MANY} instances, in turn`);
  const { many, few } = await interleaved(ROUNDS, { many: () => written(MANY), few: () => written(FEW) });
  return [
    atMost(5, {
      name: `plan, encode and validate overlays of ${MANY} instances`,
      value: many,
      unit: 'ms',
      peer: `of ${FEW}`,
      peerValue: few,
      note: 'time of the CPU',
    }),
  ];
};
