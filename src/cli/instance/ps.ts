/** Which instances are of interest, and a line for each. */
import { connect } from '../../client/index.ts';
import type { Health } from '../../health/contract.ts';
import type { InstanceStatus } from '../../instance/spec.ts';
import { portsText } from '../../network/published-port.ts';
import { formatBytes } from '../../sys/units.ts';
import type { Command, Invocation } from '../kit/command.ts';
import { type Filters, filterError, hasLabel } from '../kit/filter.ts';
import { LIST_OPTIONS, type Listed, showRows } from '../kit/list.ts';
import { age, type Column } from '../kit/table.ts';
import { commandText, healthSuffix, listFields } from './instance-view.ts';

export const command: Command = {
  summary: 'list instances',
  usage: '[OPTION]...',
  description:
    'Without --all those that run, and those that failed in the last ten minutes. Filters: name, id, label, status, health, exited,\n' +
    'driver, image, network, tenant, stack; of several of one key one must match, of labels all.',
  options: {
    all: { short: 'a', help: 'also those that do not run' },
    last: { short: 'n', value: 'N', help: 'the N made last, whatever they do' },
    latest: { help: 'the one made last' },
    ...LIST_OPTIONS,
  },
  arguments: [0, 0],
  examples: [
    ['pk ps -a', 'all instances'],
    ['pk ps --json', 'for programs'],
    ['pk ps -q --filter label=team=shop', 'names of those with a label'],
    ["pk ps --format 'table {{.Names}}\\t{{.Status}}'", 'what docker would show'],
  ],
  async run(invocation) {
    const client = await connect();
    const [all, healths] = await Promise.all([client.list(), client.health()]);
    const healthOf = new Map(healths.map(({ id, health }) => [id, health]));
    const shown = selected(all, invocation, Date.now());
    return showRows(
      invocation,
      shown.map((status): Row => ({ ...status, health: healthOf.get(status.id) ?? 'unknown' })),
      LISTED,
    );
  },
};

/** A line of it: the health as `pk health ls` has it. */
type Row = InstanceStatus & { health: Health };

/** Those that --all, --last and --latest leave; whoever asks for a status means all of it. */
export function selected(
  all: readonly InstanceStatus[],
  invocation: Invocation,
  nowMs: number,
): readonly InstanceStatus[] {
  const last = invocation.flag('latest') ? 1 : invocation.integer('last', 0);
  if (last !== undefined)
    return all.toSorted((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt)).slice(0, last);
  const asksForStatus = invocation.values('filter').some((text) => /^(status|exited)=/.test(text));
  return invocation.flag('all') || asksForStatus ? all : all.filter((each) => isOfInterest(each, nowMs));
}

const FILTERS: Filters<Row> = {
  id: ({ id }, value) => id.startsWith(value),
  label: ({ spec }, value) => hasLabel(spec.labels, value),
  status: ({ state }, value) => state === stateOf(value),
  health: ({ health }, value) => health === value,
  exited: ({ state, exit }, value) => state === 'exited' && String(exit?.exitCode) === value,
  driver: ({ spec }, value) => spec.driver === value,
  image: ({ spec }, value) => spec.image === value,
  ancestor: ({ spec }, value) => spec.image === value,
  network: ({ spec }, value) => spec.network === value,
  tenant: ({ spec }, value) => (spec.tenant ?? '') === value,
  stack: ({ spec }, value) => (spec.stack ?? '') === value,
};

const STATES: readonly InstanceStatus['state'][] = [
  'created',
  'starting',
  'running',
  'paused',
  'stopping',
  'stuck',
  'exited',
  'backoff',
];

/** `restarting` is docker's word. Throws `invalid`. */
function stateOf(value: string): string {
  if (value === 'restarting') return 'backoff';
  if (STATES.some((state) => state === value)) return value;
  throw filterError(`status=${value}`, `${JSON.stringify(value)} is no state`, `There is ${STATES.join(', ')}.`);
}

/** How long what failed is shown among what runs. */
const RECENT_MS = 10 * 60_000;

/** Whether it runs, or has failed only lately. */
export function isOfInterest({ state, exit }: Pick<InstanceStatus, 'state' | 'exit'>, nowMs: number): boolean {
  if (state !== 'exited' && state !== 'created') return true;
  if (exit === null || exit.exitCode === 0 || exit.reason === 'stopped' || exit.reason === 'killed') return false;
  return nowMs - Date.parse(exit.at) < RECENT_MS;
}

const COLUMNS: readonly Column<Row>[] = [
  ['NAME', ({ spec }) => spec.name],
  ['STATE', (status) => stateText(status)],
  ['DRIVER', ({ spec }) => spec.driver],
  ['KERNEL', ({ kernelRelease }) => kernelRelease ?? '-'],
  ['CPUS', ({ size }) => String(size.cpus), 'right'],
  ['MEMORY', ({ size }) => formatBytes(size.memoryBytes), 'right'],
  ['PID', ({ pid }) => (pid === null ? '-' : String(pid)), 'right'],
  ['AGE', ({ startedAt, createdAt }) => age(startedAt ?? createdAt)],
  ['PORTS', ({ spec }) => portsText(spec.publish) || '-'],
  ['COMMAND', ({ spec }, whole) => commandText(spec.command, whole)],
];

const LISTED: Listed<Row> = {
  columns: COLUMNS,
  name: ({ spec }) => spec.name,
  fields: (status, whole) => listFields(status, whole),
  filters: FILTERS,
};

function stateText(row: Row): string {
  const { state, exit, restarts } = row;
  const again = restarts > 0 ? `, ${restarts} restart${restarts === 1 ? '' : 's'}` : '';
  if (state !== 'exited' || exit === null) return state + healthSuffix(row) + again;
  return `exited (${exit.reason === 'exit' ? exit.exitCode : exit.reason})${again}`;
}
