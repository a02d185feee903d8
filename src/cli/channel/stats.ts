import { type Command, JSON_OPTION } from '../kit/command.ts';
import { WATCH_OPTION, watched } from '../kit/watched.ts';
import { ratesLine, ratesOf, ratesText } from './text.ts';

export const command: Command = {
  summary: 'what goes through a channel per second',
  usage: '[OPTION]... NAME',
  description:
    'Takes a second: rates are the difference between two looks at the counters, which disturb neither end. With --watch\n' +
    'it goes on until Ctrl-C: on a terminal in place, else as lines; with --json a line of JSON each.',
  options: { watch: WATCH_OPTION, json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'channel',
  examples: [
    ['pk channel stats orders', 'messages, bytes, stalls, drops and bells of both sides'],
    ['pk channel stats --watch orders | tee orders.log', 'a line every second'],
  ],
  run: watched(
    ({ client, invocation, signal }, pause) => ratesOf(() => client.channel(invocation.positionals[0]!, signal), pause),
    (rates, { invocation, clear }) =>
      invocation.flag('watch') && clear === '' ? ratesLine(rates) : clear + ratesText(rates),
  ),
};
