import { type Command, JSON_OPTION } from '../kit/command.ts';
import { everySecond, inPlace } from '../kit/every-second.ts';
import { print, printJson, printJsonLine } from '../kit/output.ts';
import { targetsTable } from './text.ts';

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
  run(invocation) {
    const [name] = invocation.positionals as [string];
    const [watch, json] = [invocation.flag('watch'), invocation.flag('json')];
    return everySecond(watch, async (client, signal) => {
      const service = await client.service(name, signal);
      if (!json) await print((watch ? inPlace() : '') + targetsTable(service));
      else await (watch ? printJsonLine(service.targets) : printJson(service.targets));
    });
  },
};
