import { connect } from '../../client/index.ts';
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
      const text = `${event.at}  ${event.type.padEnd(10)}  ${event.name}  ${plainText(event.message)}`;
      await (invocation.flag('json') ? printJsonLine(event) : print(`${text.trimEnd()}\n`));
    }
    return 0;
  },
};
