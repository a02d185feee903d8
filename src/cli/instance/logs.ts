/** The log of a workload or console to the stream it came from, and why it is empty. */
import { type Client, connect } from '../../client/index.ts';
import type { LogQuery } from '../../instance/contract.ts';
import type { Command } from '../kit/command.ts';
import { complain, print, printJsonLine } from '../kit/output.ts';
import { followLog } from './follow-log.ts';
import { LineStamps } from './line-stamps.ts';
import { before, instant } from './log-times.ts';

export const command: Command = {
  summary: 'show the output of a workload or the console',
  usage: '[OPTION]... NAME',
  options: {
    follow: { short: 'f', help: 'go on as more comes' },
    tail: { short: 'n', value: 'N|all', help: 'only the last N lines' },
    since: { value: 'TIME', help: 'only what came since: 10m, an ISO 8601 time, or seconds since 1970' },
    until: { value: 'TIME', help: 'only what came before' },
    timestamps: { short: 't', help: 'put the time before each line' },
    console: { help: "the kernel's console instead of the workload" },
    json: { help: 'one JSON object a line: t (time), s (out or err), d (text) or b (base64)' },
  },
  arguments: [1, 1],
  complete: 'instance',
  examples: [
    ['pk logs -f web', 'what the workload says, as it says it'],
    ['pk logs --console web', "the kernel's own messages"],
  ],
  async run(invocation) {
    // As with docker: all, also of a number below 0.
    const isAll = /^(?:all|-\d+)$/.test(invocation.value('tail') ?? 'all');
    const tail = isAll ? undefined : invocation.integer('tail', 0);
    const since = invocation.value('since');
    const until = invocation.value('until');
    const untilMs = until === undefined ? undefined : Date.parse(instant(until, '--until'));
    const client = await connect();
    const follow = invocation.flag('follow') && (untilMs === undefined || untilMs > Date.now());
    const query: LogQuery = {
      follow,
      ...(tail === undefined ? {} : { tail }),
      ...(since === undefined ? {} : { since: instant(since, '--since') }),
      source: invocation.flag('console') ? 'console' : 'workload',
    };
    const name = invocation.positionals[0]!;
    // What a console said has no times, by which it could be gone on from there.
    const lines = follow && query.source === 'workload' ? followLog(client, name, query) : client.logs(name, query);
    let isEmpty = true;
    const stamps = invocation.flag('timestamps') ? new LineStamps() : undefined;
    const show = (stream: 'out' | 'err', bytes: Buffer) =>
      print(bytes, stream === 'err' ? process.stderr : process.stdout);
    for await (const line of untilMs === undefined ? lines : before(lines, untilMs)) {
      isEmpty = false;
      if (invocation.flag('json')) {
        await printJsonLine(line);
        continue;
      }
      const bytes = line.b === undefined ? Buffer.from(line.d ?? '') : Buffer.from(line.b, 'base64');
      await show(line.s, stamps?.push(line, bytes) ?? bytes);
    }
    for (const [stream, bytes] of stamps?.rest() ?? []) await show(stream, bytes);
    if (!invocation.flag('console'))
      await explain(
        client,
        invocation.positionals[0]!,
        isEmpty && since === undefined && tail === undefined && until === undefined,
      );
    return 0;
  },
};

const NEVER_RAN: ReadonlySet<string> = new Set(['failed', 'not-ready']);

/** Why there is nothing, or nothing of the last start. One that is gone meanwhile needs no explanation. */
async function explain(client: Client, name: string, isEmpty: boolean): Promise<void> {
  const status = await client.inspect(name).catch(() => undefined);
  if (status === undefined) return;
  const { state, exit, spec } = status;
  if (state === 'exited' && exit !== null && exit.exitCode !== 0 && (isEmpty || NEVER_RAN.has(exit.reason)))
    complain(`${spec.name} ${isEmpty ? 'wrote nothing' : 'wrote nothing the last time'}: ${exit.message}`);
  else if (isEmpty) complain(`${spec.name} ${state === 'created' ? 'was never started' : 'has written nothing'}`);
}
