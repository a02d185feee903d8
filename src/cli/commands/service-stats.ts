import { connect } from '../../client/index.ts';
import { pause } from '../channel-io.ts';
import type { Command } from '../command.ts';
import { JSON_OPTION } from '../instances.ts';
import { print, printJson } from '../output.ts';
import { targetsTable } from '../services.ts';
import { interruptible } from '../signals.ts';

const INTERVAL_MS = 1000;
/** Cursor to the top left, and everything erased. */
const CLEAR = '\x1b[H\x1b[J';

export const command: Command = {
  summary: 'what each target of a service gets, and how fast it answers',
  usage: '[OPTION]... NAME',
  description:
    'Rates are over ten seconds, latencies over five minutes. RETRIES are requests that were sent again, here or elsewhere.\n' +
    'With --watch it goes on until Ctrl-C.',
  options: { watch: { short: 'w', help: 'again every second' }, json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'service',
  examples: [['pk service stats -w api', 'live']],
  async run(invocation) {
    const [name] = invocation.positionals as [string];
    const [watch, json] = [invocation.flag('watch'), invocation.flag('json')];
    const interrupt = interruptible();
    const { signal } = interrupt;
    try {
      const client = await interrupt.unlessInterrupted(connect({ signal }));
      for (;;) {
        const service = await client.service(name, signal);
        if (!watch) {
          await (json ? printJson(service.targets) : print(targetsTable(service)));
          return 0;
        }
        const clear = process.stdout.isTTY === true ? CLEAR : '';
        await print(json ? `${JSON.stringify(service.targets)}\n` : clear + targetsTable(service));
        await pause(INTERVAL_MS, signal);
      }
    } catch (error) {
      if (signal.aborted) return interrupt.code();
      throw error;
    } finally {
      interrupt.release();
    }
  },
};
