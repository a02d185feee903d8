import { parseCpus } from '../kit/cpus.ts';
import { change } from './change.ts';
import { MOVE_OPTIONS, movers } from './move-options.ts';

export const command = change(
  {
    summary: 'move CPUs from one kernel to another while both run',
    usage: '--from NAME --to NAME [--count N]',
    description:
      'They go offline in the one, change hands, and come online in the other; each step is read back, and when one fails all that\n' +
      'was done is taken back. Both must have bounds that allow it.',
    options: {
      ...MOVE_OPTIONS,
      count: { value: 'N', help: 'how many, or what part of a shared one, as 0.25 (default 1)' },
    },
    arguments: [0, 0],
    examples: [
      ['pk move cpu --from batch --to web --count 2', 'two CPUs'],
      ['pk move cpu --from batch --to web --count 0.25', 'between two that share a CPU (`pk run --share`)'],
    ],
  },
  (client, invocation, dryRun, say, signal) => {
    const amount = parseCpus(invocation.value('count') ?? '1', '--count');
    return client.move({ resource: 'cpu', ...movers(invocation), amount, dryRun }, say, signal);
  },
);
