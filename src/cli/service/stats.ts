import { type Command, JSON_OPTION } from '../kit/command.ts';
import { tableOf } from '../kit/table.ts';
import { repeated, WATCH_OPTION, watched } from '../kit/watched.ts';
import { TARGET_COLUMNS } from './text.ts';

export const command: Command = {
  summary: 'what each target of a service gets, and how fast it answers',
  usage: '[OPTION]... NAME',
  description:
    'Rates are over ten seconds, latencies over five minutes. RETRIES are requests that were sent again, here or elsewhere.\n' +
    'With --watch it goes on until Ctrl-C.',
  options: { watch: WATCH_OPTION, json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'service',
  examples: [['pk service stats -w api', 'live']],
  run: watched(
    repeated(async ({ client, invocation, signal }) => {
      return (await client.service(invocation.positionals[0]!, signal)).targets;
    }),
    (targets, { clear }) => clear + tableOf(TARGET_COLUMNS, targets),
  ),
};
