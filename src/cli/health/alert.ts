/** pk health alert: whom the daemon tells when health is lost or comes back. */
import { connect } from '../../client/index.ts';
import type { AlertStatus } from '../../health/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { plainLine } from '../../sys/text.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';

export const command: Command = {
  summary: 'say who is told when an instance is not well',
  usage: '[OPTION]... [-- PROGRAM [ARG]...]',
  description:
    'The program gets each alert as JSON on its standard input, a web hook by POST; so when health is lost and regained, in a crash loop, and of one that is stuck. Each has 10 s; there are 30 a minute at most. Without anything: shows who is told.',
  options: {
    url: { value: 'URL', help: 'web hook on this machine: http://127.0.0.1:PORT/PATH or unix:/SOCKET:/PATH' },
    off: { help: 'tell nobody' },
    json: JSON_OPTION,
  },
  arguments: [0, 64],
  commandFrom: 0,
  complete: 'file',
  examples: [
    ['pk health alert -- /usr/local/bin/page --team web', 'a program'],
    ['pk health alert --url unix:/run/pager.sock:/alerts', 'a web hook'],
    ['pk health alert', 'who is told, and how that went'],
  ],
  async run(invocation) {
    const url = invocation.value('url');
    const { positionals: program } = invocation;
    const off = invocation.flag('off');
    if ([url !== undefined, off, program.length > 0].filter(Boolean).length > 1)
      throw new PolykernelError('invalid', 'give one of --url, --off and a program', { field: '--url', value: url });
    const client = await connect();
    const isAsked = url === undefined && !off && program.length === 0;
    const status = isAsked
      ? await client.alert()
      : await client.setAlert({
          ...(url !== undefined && { url }),
          ...(program.length > 0 && { command: [...program] }),
        });
    return answer(invocation, status, alertText);
  },
};

function alertText({ command, url, sent, failed, dropped, failure }: AlertStatus): string {
  const target = command?.join(' ') ?? url;
  if (target === null) return 'Nobody is told.\n';
  const last = failure === null ? '' : `the last one failed: ${plainLine(failure)}\n`;
  return `${plainLine(target)} is told: ${sent} sent, ${failed} failed, ${dropped} dropped\n${last}`;
}
