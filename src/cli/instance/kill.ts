/** By default the kernel ends; with a signal, named or numbered, the workload gets it. */
import { constants } from 'node:os';
import { PolykernelError } from '../../sys/errors.ts';
import { onEach } from '../kit/on-each.ts';

/** The ones worth offering; any other is accepted. */
const SIGNALS = ['HUP', 'INT', 'QUIT', 'TERM', 'USR1', 'USR2', 'STOP', 'CONT', 'KILL'];

export const command = onEach(
  {
    summary: 'kill kernels at once, or signal workloads',
    options: {
      signal: {
        short: 's',
        value: 'SIGNAL',
        words: SIGNALS,
        help: 'send this to the workload instead of killing the kernel',
      },
    },
    examples: [
      ['pk kill web', 'the kernel ends at once'],
      ['pk kill -s HUP web', 'the workload gets SIGHUP'],
    ],
  },
  (client, name, invocation) => {
    const signal = invocation.value('signal');
    return client.kill(name, signal === undefined ? {} : { signal: signalNumber(signal) });
  },
);

/** As the C library counts them, which leaves the first two to itself: RTMIN+3 stops systemd. */
function realTime(name: string): number | undefined {
  const [, end, offset = '0'] = /^(RTMIN|RTMAX)(?:[+-](\d{1,2}))?$/.exec(name) ?? [];
  const [first, last] = [34, 64];
  if (end === undefined || name.includes(end === 'RTMIN' ? '-' : '+')) return undefined;
  const number = end === 'RTMIN' ? first + Number(offset) : last - Number(offset);
  return number >= first && number <= last ? number : undefined;
}

export function signalNumber(text: string): number {
  const known = constants.signals as Readonly<Record<string, number>>;
  const name = text.toUpperCase().replace(/^SIG/, '');
  const number = /^\d{1,2}$/.test(text) ? Number(text) : (known[`SIG${name}`] ?? realTime(name));
  if (number !== undefined && number >= 1 && number <= 64) return number;
  throw new PolykernelError('invalid', `--signal: ${JSON.stringify(text)} is not a signal`, {
    field: '--signal',
    value: text,
    hint: 'Give a name such as TERM or a number such as 15.',
  });
}
