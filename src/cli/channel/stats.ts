import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { inPlace } from '../kit/every-second.ts';
import { print, printJson, printJsonLine } from '../kit/output.ts';
import { pause } from '../kit/pause.ts';
import { interruptible } from '../kit/signals.ts';
import { type ChannelRates, ratesLine, ratesOf, ratesText } from './text.ts';

const INTERVAL_MS = 1000;

export const command: Command = {
  summary: 'what goes through a channel per second',
  usage: '[OPTION]... NAME',
  description:
    'Takes a second: rates are the difference between two looks at the counters, which disturb neither end. With --watch\n' +
    'it goes on until Ctrl-C: on a terminal in place, else as lines; with --json a line of JSON each.',
  options: { watch: { short: 'w', help: 'again every second' }, json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'channel',
  examples: [
    ['pk channel stats orders', 'messages, bytes, stalls, drops and bells of both sides'],
    ['pk channel stats --watch orders | tee orders.log', 'a line every second'],
  ],
  async run(invocation) {
    const [name] = invocation.positionals as [string];
    const watch = invocation.flag('watch');
    const json = invocation.flag('json');
    const interrupt = interruptible();
    const { signal } = interrupt;
    try {
      const client = await interrupt.unlessInterrupted(connect({ signal }));
      const read = () => client.channel(name, signal);
      for await (const rates of ratesOf(read, () => pause(INTERVAL_MS, signal))) {
        if (!watch) {
          await (json ? printJson(rates) : print(ratesText(rates)));
          return 0;
        }
        await (json ? printJsonLine(rates) : print(watched(rates)));
      }
      return 0;
    } catch (error) {
      if (signal.aborted) return interrupt.code();
      throw error;
    } finally {
      interrupt.release();
    }
  },
};

const watched = (rates: ChannelRates): string =>
  process.stdout.isTTY === true ? `${inPlace()}${ratesText(rates)}` : ratesLine(rates);
