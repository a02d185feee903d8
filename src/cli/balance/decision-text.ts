/** A decision in a few lines, for people. */
import type { ToldDecision } from '../../balance/contract.ts';
import { plainLine } from '../../sys/text.ts';
import { formatBytes } from '../../sys/units.ts';

const OUTCOMES: Readonly<Record<ToldDecision['outcome'], string>> = {
  observed: 'not carried out',
  held: 'kept back',
  moving: 'under way',
  kept: 'done',
  undone: 'taken back',
  failed: 'failed',
};

export function decisionText({ at, policy, move, resource, kernels, outcome, note }: ToldDecision): string {
  const size = (value: number) => (resource === 'memory' ? formatBytes(value) : value);
  const end = note === '' ? OUTCOMES[outcome] : `${OUTCOMES[outcome]}: ${plainLine(note)}`;
  const sides = kernels.map(
    ({ name, before, after, why }) => `    ${name} ${size(before)} -> ${size(after)}: ${why}\n`,
  );
  return `${at}  ${move}  (${policy}; ${end})\n${sides.join('')}`;
}
