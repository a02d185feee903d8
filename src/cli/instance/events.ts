/** What happens, as it happens, from now or from what is remembered. */
import { type Client, connect } from '../../client/index.ts';
import type { DaemonEvent } from '../../core/events.ts';
import { plainLine } from '../../sys/text.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { readAgain } from '../kit/next-daemon.ts';
import { print, printJsonLine } from '../kit/output.ts';
import { instant } from './log-times.ts';

export const command: Command = {
  summary: 'show what happens, as it happens',
  usage: '[OPTION]...',
  options: {
    follow: { short: 'f', help: 'as always; accepted for habit' },
    since: { value: 'N|TIME', help: 'begin after the event numbered N, or with those since: 10m, or an ISO 8601 time' },
    json: JSON_OPTION,
  },
  arguments: [0, 0],
  examples: [
    ['pk events --since 0', 'all that is remembered, then what comes'],
    ['pk events --since 10m', 'what was in the last ten minutes, then what comes'],
  ],
  async run(invocation) {
    const { query, isWanted } = beginning(invocation.value('since'));
    const client = await connect();
    let seen: number | undefined;
    let isFirst = true;
    const read = (from: Client) => {
      // Of the next daemon all that was not seen; where none was, all that it has told of since it came.
      const since = isFirst ? query.since : (seen ?? query.since ?? 0);
      isFirst = false;
      return from.events(since === undefined ? {} : { since });
    };
    const events = readAgain(client, read, { endless: true });
    for await (const event of events) {
      seen = event.sequence;
      if (!isWanted(event)) continue;
      await (invocation.flag('json') ? printJsonLine(event) : print(eventLine(event)));
    }
    return 0;
  },
};

/** Of what is remembered: after a number, or since a time. Throws `invalid`. */
export function beginning(
  text: string | undefined,
  nowMs = Date.now(),
): { query: { since?: number }; isWanted(event: Pick<DaemonEvent, 'at'>): boolean } {
  if (text === undefined) return { query: {}, isWanted: () => true };
  if (/^\d{1,9}$/.test(text)) return { query: { since: Number(text) }, isWanted: () => true };
  const from = Date.parse(instant(text, '--since', nowMs));
  return { query: { since: 0 }, isWanted: ({ at }: Pick<DaemonEvent, 'at'>) => Date.parse(at) >= from };
}

/** As wide as the longest type, `service-restarted`: what comes later is not known, and its columns are to stand below. */
const TYPE_COLUMNS = 17;

/** One line: when, what, to whom, and what else is to say. */
export function eventLine({ at, type, name, message }: DaemonEvent): string {
  return `${`${at}  ${type.padEnd(TYPE_COLUMNS)}  ${name}  ${plainLine(message)}`.trimEnd()}\n`;
}
