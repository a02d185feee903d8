/** pk core save: what is known of an instance, kept in a file. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect } from '../../client/index.ts';
import type { Core } from '../../evidence/contract.ts';
import { asPolykernelError } from '../../sys/errors.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

/** Of the console. */
const LINES = 500;
const CHARACTERS = 256 * 1024;
const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;

export const command: Command = {
  summary: 'keep what is known of an instance now, in a file',
  usage: '[OPTION]... NAME',
  description:
    'State, health with its signs, how it ended, what happened to it and what was healed, its last numbers, the end of its console, and on QEMU the\nregisters of its CPUs. None of its memory, and of its environment no values. Only its owner may read the file.',
  options: {
    output: { short: 'o', value: 'FILE', complete: 'file', help: 'where to (default NAME.core; - is standard output)' },
  },
  arguments: [1, 1],
  complete: 'instance',
  examples: [['pk core save web -o web.core', 'before it is restarted; see pk heal off']],
  async run(invocation) {
    const name = invocation.positionals[0]!;
    const client = await connect();
    const evidence = await client.evidence(name);
    const core: Core = { ...evidence, console: [] };
    let room = CHARACTERS;
    for await (const { d = '' } of client.logs(name, { source: 'console', tail: LINES })) {
      const text = d.slice(0, room);
      room -= text.length;
      core.console.push(text);
    }
    const file = invocation.value('output') ?? `${evidence.status.spec.name}.core`;
    const content = `${JSON.stringify(core, null, 1)}\n`;
    if (file === '-') await print(Buffer.from(content));
    else await save(file, content);
    return 0;
  },
};

async function save(path: string, content: string): Promise<void> {
  try {
    await using file = await open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    await file.chmod(0o600);
    await file.writeFile(content);
  } catch (error) {
    throw asPolykernelError(error, `writing ${path}`);
  }
}
