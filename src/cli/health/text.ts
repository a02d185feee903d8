/** Health as commands show it. */
import type { HealthStatus } from '../../health/contract.ts';
import { plainLine } from '../../sys/text.ts';
import { age, type Column } from '../kit/table.ts';

export const HEALTH_COLUMNS: readonly Column<HealthStatus>[] = [
  ['NAME', ({ name }) => name],
  ['STATE', ({ state }) => state],
  ['HEALTH', ({ health, acknowledged }) => (acknowledged ? `${health} (acknowledged)` : health)],
  ['SINCE', ({ since }) => age(since)],
  ['SIGNS', ({ signs }) => signs.map(({ sign }) => sign).join() || '-'],
];

export function healthText({ name, state, health, since, acknowledged, signs, check }: HealthStatus): string {
  const lines = [
    `${name} is ${state}: ${health} for ${age(since)}${acknowledged ? ', acknowledged' : ''}`,
    ...signs.map(({ sign, since, seen }) => `  ${sign} since ${since}: ${plainLine(seen)}`),
  ];
  if (check !== null) lines.push(`check: ${plainLine(check.command)}`);
  for (const { at, tookMs, outcome, exitCode, output } of check?.results ?? []) {
    const code = exitCode === null || exitCode === 0 ? '' : `, exit code ${exitCode}`;
    const words = plainLine(output.trim(), 200);
    lines.push(`  ${at}  ${outcome} in ${tookMs} ms${code}${words === '' ? '' : `: ${words}`}`);
  }
  return `${lines.join('\n')}\n`;
}
