import { connect } from '../../client/index.ts';
import type { DaemonEvent } from '../../core/events.ts';
import { plainText } from '../../sys/text.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJsonLine } from '../kit/output.ts';

export const command: Command = {
  summary: 'show what happens, as it happens',
  usage: '[OPTION]...',
  options: {
    follow: { short: 'f', help: 'as always; accepted for habit' },
    since: { value: 'N', help: 'begin after the event numbered N' },
    json: JSON_OPTION,
  },
  arguments: [0, 0],
  examples: [['pk events --since 0', 'all that is remembered, then what comes']],
  async run(invocation) {
    const since = invocation.integer('since', 0);
    const client = await connect();
    for await (const event of client.events(since === undefined ? {} : { since })) {
      await (invocation.flag('json') ? printJsonLine(event) : print(eventLine(event)));
    }
    return 0;
  },
};

/** As wide as the longest type, `service-restarted`: what comes later is not known, and its columns are to stand below. */
const TYPE_COLUMNS = 17;

/** One line: when, what, to whom, and what else is to say. */
export function eventLine({ at, type, name, message }: DaemonEvent): string {
  return `${`${at}  ${type.padEnd(TYPE_COLUMNS)}  ${name}  ${plainText(message)}`.trimEnd()}\n`;
}
