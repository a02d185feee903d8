import type { Command } from '../kit/command.ts';
import { sendAll, withChannel } from './io.ts';

export const command: Command = {
  summary: 'send lines of standard input through a channel',
  usage: '[OPTION]... NAME',
  description:
    'Each line is a message, without its newline. At the end of the input the channel is closed: its receiver ends when it\n' +
    'has taken everything. A full channel makes it wait. One process at a time sends.',
  options: {
    'keep-open': { help: 'do not close the channel at the end: another sender goes on' },
    raw: { help: 'each piece of input as it is read is a message' },
  },
  arguments: [1, 1],
  complete: 'channel',
  examples: [
    ['seq 1000 | pk channel send orders', 'a thousand messages, then the end'],
    ['echo one more | pk channel send --keep-open orders', 'one of many'],
  ],
  run: (invocation) =>
    withChannel(invocation.positionals[0]!, 'send', async (producer, signal) => {
      await sendAll(producer, process.stdin, { raw: invocation.flag('raw') }, signal);
      if (!invocation.flag('keep-open')) producer.close();
      return 0;
    }),
};
