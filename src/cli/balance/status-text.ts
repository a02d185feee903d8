/** Balancing as `pk balance status` shows it. */
import type { BalanceStatus } from '../../balance/contract.ts';
import { type Column, tableOf } from '../kit/table.ts';

type Kernel = BalanceStatus['kernels'][number];

const number = (value: number): string => String(Math.round(value * 100) / 100);

const COLUMNS: readonly Column<Kernel>[] = [
  ['KERNEL', ({ name }) => name],
  ['KIND', ({ kind }) => kind],
  ['CPUS', ({ cpus }) => number(cpus), 'right'],
  ['BOUNDS', ({ min, max }) => `${min}-${max}`, 'right'],
  ['PRIORITY', ({ priority }) => String(priority), 'right'],
  ['BUSY', ({ known, busy }) => (known ? number(busy) : '-'), 'right'],
  ['WAITING', ({ known, waiting }) => (known ? number(waiting) : '-'), 'right'],
  ['P99', ({ p99Ms }) => (p99Ms === null ? '-' : `${number(p99Ms)} ms`), 'right'],
  ['PROMISE', ({ promiseMs }) => (promiseMs === null ? '-' : `${number(promiseMs)} ms`), 'right'],
];

export function statusText({ mode, policy, suspended, holds, kernels, moves }: BalanceStatus): string {
  const what = mode === 'off' ? 'off' : mode === 'observe' ? 'observes: nothing is moved' : 'on';
  const lines = [
    `balancing  ${suspended === null ? what : `observes: ${suspended}`}`,
    `policy     ${policy}`,
    `last hour  ${moves.kept} moves, ${moves.undone} taken back, ${moves.failed} failed`,
    ...holds.map(({ name, until }) => `held       ${name} until ${until}`),
  ];
  const none =
    mode === 'off'
      ? ''
      : '\nNo kernel with bounds to change its CPUs within (`pk run --elastic-cpus`) was seen yet; one that runs is within seconds.\n';
  return `${lines.join('\n')}\n${kernels.length === 0 ? none : `\n${tableOf(COLUMNS, kernels)}`}`;
}
