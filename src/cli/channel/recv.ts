/** Messages to standard output, and the ends a receiver can come to. */
import { formatDuration } from '../../sys/units.ts';
import type { Command } from '../kit/command.ts';
import { written } from '../kit/output.ts';
import { parseTimeout, receiveAll, withChannel } from './io.ts';

/** As `timeout` of coreutils. */
const TIMED_OUT = 124;

export const command: Command = {
  summary: 'print what comes through a channel',
  usage: '[OPTION]... NAME',
  description:
    'Each message is followed by a newline. A message leaves the channel only when it was written: none is lost when this\n' +
    'is killed, and the last one may come again. Ends when the sender has closed the channel and it is empty.\n' +
    'Ends with 124 when the time-out passes without a message. One process at a time receives.',
  options: {
    count: { value: 'N', help: 'end after N messages' },
    timeout: { value: 'SECONDS', help: 'end when none comes for so long, such as 5 or 500ms' },
    follow: { short: 'f', help: 'go on when the sender has closed: another may come' },
    raw: { help: 'only the bytes of the messages, without newlines' },
  },
  arguments: [1, 1],
  complete: 'channel',
  examples: [
    ['pk channel recv orders', 'until the sender has closed it'],
    ['pk channel recv --count 1 --timeout 5 orders', 'the next message, if it comes within five seconds'],
  ],
  run(invocation) {
    const timeout = invocation.value('timeout');
    const timeoutMs = timeout === undefined ? undefined : parseTimeout(timeout);
    const options = {
      count: invocation.integer('count', 1),
      timeoutMs,
      follow: invocation.flag('follow'),
      raw: invocation.flag('raw'),
    };
    const [name] = invocation.positionals as [string];
    return withChannel(name, 'recv', async (consumer, signal) => {
      const outcome = await receiveAll(consumer, written, options, signal);
      if (outcome !== 'timeout') return 0;
      process.stderr.write(`pk: no message came through ${name} within ${formatDuration(timeoutMs!)}\n`);
      return TIMED_OUT;
    });
  },
};
