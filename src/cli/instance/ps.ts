/** Which instances are of interest, and a line for each. */
import { connect } from '../../client/index.ts';
import type { InstanceStatus } from '../../instance/spec.ts';
import { portsText } from '../../network/published-port.ts';
import { formatBytes } from '../../sys/units.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { age, type Column, tableOf } from '../kit/table.ts';

export const command: Command = {
  summary: 'list instances',
  usage: '[OPTION]...',
  description: 'Without --all those that run, and those that failed in the last ten minutes.',
  options: {
    all: { short: 'a', help: 'also those that do not run' },
    quiet: { short: 'q', help: 'only names' },
    json: JSON_OPTION,
  },
  arguments: [0, 0],
  examples: [
    ['pk ps -a', 'all instances'],
    ['pk ps --json', 'for programs'],
  ],
  async run(invocation) {
    const client = await connect();
    const all = await client.list();
    const now = Date.now();
    const shown = invocation.flag('all') ? all : all.filter((each) => isOfInterest(each, now));
    if (invocation.flag('json')) await printJson(shown);
    else if (invocation.flag('quiet')) await print(shown.map(({ spec }) => `${spec.name}\n`).join(''));
    else await print(tableOf(COLUMNS, shown));
    return 0;
  },
};

/** How long what failed is shown among what runs. */
const RECENT_MS = 10 * 60_000;

/** Whether it runs, or has failed only lately. */
export function isOfInterest({ state, exit }: Pick<InstanceStatus, 'state' | 'exit'>, nowMs: number): boolean {
  if (state !== 'exited' && state !== 'created') return true;
  if (exit === null || exit.exitCode === 0 || exit.reason === 'stopped' || exit.reason === 'killed') return false;
  return nowMs - Date.parse(exit.at) < RECENT_MS;
}

const COLUMNS: readonly Column<InstanceStatus>[] = [
  ['NAME', ({ spec }) => spec.name],
  ['STATE', (status) => stateText(status)],
  ['DRIVER', ({ spec }) => spec.driver],
  ['KERNEL', ({ kernelRelease }) => kernelRelease ?? '-'],
  ['CPUS', ({ size }) => String(size.cpus), 'right'],
  ['MEMORY', ({ size }) => formatBytes(size.memoryBytes), 'right'],
  ['PID', ({ pid }) => (pid === null ? '-' : String(pid)), 'right'],
  ['AGE', ({ startedAt, createdAt }) => age(startedAt ?? createdAt)],
  ['PORTS', ({ spec }) => portsText(spec.publish) || '-'],
  ['COMMAND', ({ spec }) => commandText(spec.command)],
];

function commandText(command: readonly string[]): string {
  const text = command.join(' ').replace(/[^\x20-\x7e\u00a0-\uffff]/g, '?');
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function stateText({ state, exit, restarts }: InstanceStatus): string {
  const again = restarts > 0 ? `, ${restarts} restart${restarts === 1 ? '' : 's'}` : '';
  if (state !== 'exited' || exit === null) return state + again;
  return `exited (${exit.reason === 'exit' ? exit.exitCode : exit.reason})${again}`;
}
