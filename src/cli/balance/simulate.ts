/** What each policy would have done with a trace. Asks no daemon. */
import {
  caseOf,
  clairvoyant,
  type Outcome,
  POLICIES,
  type Policy,
  readHost,
  readTrace,
  regret,
  report,
  run,
  Timeline,
} from '../../balance/contract.ts';
import { closest } from '../../sys/closest.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { parseDuration } from '../../sys/units.ts';
import { type Command, type Invocation, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { answer } from '../kit/output.ts';
import { checkPage, writePage } from '../kit/page-file.ts';
import { type Column, tableOf } from '../kit/table.ts';
import { readLarge } from '../kit/text-file.ts';

const NAMES = POLICIES.map(({ name }) => name);

export const command: Command = {
  summary: 'what each policy would have done with a trace of requests',
  usage: '--trace FILE [OPTION]...',
  description:
    'The trace has lines of VALUE, TIME,VALUE or TIME,TENANT,VALUE: requests per second. Without --host a request takes 20 ms,\n' +
    'at most 1 % may take more than 200 ms, and the pool is just large enough. VIOLATED counts seconds of services in which\n' +
    'more than 1 % of the requests were late, shed or lost. REGRET: 0 as good as one who knows the future, 1 as bad as the equal split.',
  options: {
    trace: { value: 'FILE', complete: 'file', help: 'the trace, CSV' },
    interval: { value: 'TIME', help: 'between lines that have a value alone (default 1s)' },
    policy: { value: 'NAME[,...]', words: ['all', ...NAMES], help: 'which policies (default all)' },
    host: { value: 'FILE', complete: 'file', help: 'CPUs, and what tenants are like, JSON (docs/balance.md)' },
    html: { value: 'FILE', complete: 'file', help: 'write a report with charts' },
    json: JSON_OPTION,
  },
  arguments: [0, 0],
  examples: [
    ['pk balance simulate --trace requests.csv', 'all policies on a pool that is just large enough'],
    [
      'pk balance simulate --trace day.csv --policy static,slo --host host.json --html day.html',
      'two, on a host, with charts',
    ],
  ],
  async run(invocation) {
    const html = invocation.value('html');
    await checkPage(html);
    const policies = chosen(invocation.value('policy') ?? 'all');
    const scene = await sceneOf(invocation);
    const timelines = policies.map(() => new Timeline(scene));
    const { outcomes, bound } = await withProgress(async (say) => {
      const found: Outcome[] = [];
      for (const [index, policy] of policies.entries()) {
        say(`simulating ${policy.name}`);
        // Lets the line be drawn and a signal be heard between two runs.
        await new Promise((resolve) => setImmediate(resolve));
        found.push(run(policy, scene, { timeline: timelines[index]! }));
      }
      say('working out what nobody could have saved');
      await new Promise((resolve) => setImmediate(resolve));
      const least = clairvoyant(scene);
      const equal = found.find(({ policy }) => policy === 'static') ?? run(POLICIES[0]!, scene);
      for (const outcome of found)
        outcome.regret = regret(outcome.violationSeconds, equal.violationSeconds, least.seconds);
      return { outcomes: found, bound: least };
    });
    const code = await answer(invocation, outcomes, (rows) => tableOf(COLUMNS, rows));
    await writePage(html, () => report(scene, outcomes, timelines, bound));
    return code;
  },
};

const COLUMNS: readonly Column<Outcome>[] = [
  ['POLICY', ({ policy }) => policy],
  ['VIOLATED', ({ violationSeconds }) => `${violationSeconds} s`, 'right'],
  ['REGRET', (row) => row.regret?.toFixed(2) ?? '-', 'right'],
  ['BATCH', ({ bestEffortWork }) => `${Math.round(bestEffortWork)} CPU-s`, 'right'],
  ['SERVICES', ({ serviceCoreSeconds }) => `${Math.round(serviceCoreSeconds)} CPU-s`, 'right'],
  ['P99', ({ p99Ms }) => `${p99Ms.toFixed(1)} ms`, 'right'],
  ['MOVES', ({ moves }) => String(Math.round(moves)), 'right'],
];

function chosen(text: string): readonly Policy[] {
  if (text === 'all') return POLICIES;
  return text.split(',').map((name) => {
    const found = POLICIES.find((policy) => policy.name === name);
    if (found !== undefined) return found;
    const guess = closest(name, NAMES);
    throw new PolykernelError('invalid', `--policy: there is no policy ${JSON.stringify(name)}`, {
      field: '--policy',
      value: name,
      hint: guess === undefined ? `There are ${NAMES.join(', ')}, and all.` : `Did you mean ${guess}?`,
    });
  });
}

async function sceneOf(invocation: Invocation) {
  const path = invocation.value('trace');
  if (path === undefined) {
    throw new PolykernelError('invalid', '--trace: no trace is given', {
      field: '--trace',
      hint: 'Name a file with lines of VALUE, TIME,VALUE or TIME,TENANT,VALUE.',
    });
  }
  const interval = parseDuration(invocation.value('interval') ?? '1s', '--interval') / 1000;
  if (interval === 0) {
    throw new PolykernelError('invalid', '--interval: 0 is no time between values', {
      field: '--interval',
      value: 0,
      hint: 'Give the time between two lines, such as 1s.',
    });
  }
  const host = invocation.value('host');
  const trace = readTrace(await readLarge(path, '--trace'), interval);
  return caseOf(trace, host === undefined ? undefined : readHost(await readLarge(host, '--host')));
}
