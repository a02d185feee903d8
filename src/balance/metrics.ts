/** Numbers of balancing for Prometheus: a row for each family. */
import { type FamilyOf, familiesFor } from '../core/metric.ts';
import type { BalanceStatus } from './status.ts';

const balance = familiesFor<BalanceStatus>('polykernel_balance_', () => ({}));

export const balanceMetrics: readonly FamilyOf<BalanceStatus>[] = [
  balance.row('gauge', 'on', 'Whether decisions are carried out.', ({ mode, suspended }) => [
    [{}, mode === 'on' && suspended === null ? 1 : 0],
  ]),
  balance.row('gauge', 'moves', 'Decisions of the last hour, by what became of them.', ({ moves }) =>
    Object.entries(moves).map(([outcome, count]) => [{ outcome }, count] as const),
  ),
  balance.row(
    'gauge',
    'reasons',
    'What was done in the last hour, by what moved and the rule that fired.',
    ({ reasons }) => reasons.map(({ resource, rule, count }) => [{ resource, rule }, count] as const),
  ),
  balance.row('gauge', 'cpus', 'CPUs of each kernel that takes part.', ({ kernels }) =>
    kernels.map(({ name, cpus }) => [{ instance: name }, cpus] as const),
  ),
];
