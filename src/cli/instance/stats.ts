/** Numbers of all instances, of one, or of one over time; stats-text.ts lays them out. */

import { PolykernelError } from '../../sys/errors.ts';
import { plainText } from '../../sys/text.ts';
import { parseDuration } from '../../sys/units.ts';
import type { InstanceStats } from '../../telemetry/contract.ts';
import { type Command, type Invocation, JSON_OPTION } from '../kit/command.ts';
import { formatted } from '../kit/format.ts';
import { FORMAT_OPTION } from '../kit/format-option.ts';
import { type Look, repeated, WATCH_OPTION, watched } from '../kit/watched.ts';
import { statsFields } from './stats-fields.ts';
import { CSV_HEAD, seriesCsv, seriesText, statsCsv, statsDetails, statsTable } from './stats-text.ts';

export const command: Command = {
  summary: 'what instances use: CPU, memory, disk, network',
  usage: '[OPTION]... [NAME]...',
  description:
    'The latest numbers, means of two seconds. CPU is what the guest accounts, HOST what the host kernel gave its vCPUs,\n' +
    'DELAY what it withheld, all in percent of one CPU: a guest that spins while idle shows under HOST alone. WAIT is the\n' +
    'share of the time in which tasks waited for a CPU. With --since NAME over time. docs/telemetry.md explains all.',
  options: {
    since: { value: 'DURATION', help: 'over the last 10m, 1h, 2d, ...', words: ['1m', '10m', '1h', '1d', '7d'] },
    step: { value: 'DURATION', help: 'length of a step of --since' },
    csv: { help: 'comma-separated values' },
    watch: WATCH_OPTION,
    format: FORMAT_OPTION,
    all: { short: 'a', help: 'as always; accepted for habit' },
    'no-stream': { help: 'once, as without --watch; accepted for habit' },
    'no-trunc': { help: 'as always; accepted for habit' },
    json: JSON_OPTION,
  },
  arguments: [0, Number.POSITIVE_INFINITY],
  complete: 'instance',
  examples: [
    ['pk stats', 'all instances'],
    ['pk stats web', 'everything of one'],
    ['pk stats web --since 1h --csv > web.csv', 'the last hour, for a spreadsheet'],
  ],
  async run(invocation) {
    check(invocation);
    if (invocation.value('since') !== undefined) return overTime(invocation);
    const { length } = invocation.positionals;
    return length === 1 && invocation.value('format') === undefined ? ofOne(invocation) : ofAll(invocation);
  },
};

function check(invocation: Invocation): void {
  const refuse = (message: string, field: string, hint: string): never => {
    throw new PolykernelError('invalid', message, { field, hint });
  };
  if (invocation.flag('json') && invocation.flag('csv'))
    refuse('--json and --csv are two formats', '--csv', 'Give one of them.');
  if (invocation.value('step') !== undefined && invocation.value('since') === undefined)
    refuse('--step is for --since', '--step', 'Give --since as well, such as --since 1h.');
  if (invocation.flag('watch') && invocation.flag('no-stream'))
    refuse('--no-stream is once, --watch again and again', '--no-stream', 'Give one of them.');
  const since = invocation.value('since');
  if (since === undefined) return;
  parseDuration(since, '--since');
  if (invocation.positionals.length !== 1)
    refuse('--since wants the name of one instance', '--since', 'Write pk stats NAME --since DURATION.');
  if (invocation.flag('watch') && invocation.flag('csv'))
    refuse('--watch with --since shows the same again', '--watch', 'Leave --since away to get a line every second.');
}

const ofAll = watched(
  repeated(async ({ client, invocation, signal }) => {
    const all = await client.stats(signal);
    const { positionals } = invocation;
    return positionals.length === 0 ? all : positionals.map((name) => named(all, name));
  }),
  (all, look) => csv(all, look) ?? look.clear + (inFormat(all, look) ?? statsTable(all)),
);

const ofOne = watched(
  repeated(async ({ client, invocation, signal }) => named(await client.stats(signal), invocation.positionals[0]!)),
  (stats, look) => csv([stats], look) ?? look.clear + statsDetails(stats),
);

const overTime = watched(
  repeated(({ client, invocation, signal }) => {
    const step = invocation.value('step');
    const query = { since: invocation.value('since')!, ...(step === undefined ? {} : { step }) };
    return client.statsSeries(invocation.positionals[0]!, query, signal);
  }),
  (series, { invocation, clear }) => (invocation.flag('csv') ? seriesCsv(series) : clear + seriesText(series)),
);

/** Where it is asked for; the names of its columns once. */
const csv = (all: readonly InstanceStats[], { invocation, first }: Look): string | undefined =>
  invocation.flag('csv') ? (first ? CSV_HEAD : '') + statsCsv(all) : undefined;

function inFormat(all: readonly InstanceStats[], { invocation }: Look): string | undefined {
  const format = invocation.value('format');
  if (format === undefined) return undefined;
  const views = all.map((stats) => ({ fields: statsFields(stats), raw: stats }));
  return plainText(formatted(format, views, () => statsTable(all)));
}

function named(all: readonly InstanceStats[], name: string): InstanceStats {
  const found = all.find((stats) => stats.name === name || stats.id === name);
  if (found !== undefined) return found;
  throw new PolykernelError('not-found', `there is no instance ${JSON.stringify(name)}`, {
    field: 'name',
    value: name,
    hint: 'See `pk ps -a` for those there are.',
  });
}
