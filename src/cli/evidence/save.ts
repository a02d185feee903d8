/** pk core save: what is known of an instance, kept in a file. */
import { constants } from 'node:fs';
import { lstat, open, rm } from 'node:fs/promises';
import { connect } from '../../client/index.ts';
import type { Core } from '../../evidence/contract.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { isTrusted } from '../../sys/places.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';
import { keepMemory } from './keep-memory.ts';
import { replaceFile } from './replace-file.ts';

/** Of the console. */
const LINES = 500;
const CHARACTERS = 256 * 1024;
const { O_WRONLY, O_NOFOLLOW } = constants;

export const command: Command = {
  summary: 'keep what is known of an instance now, in a file',
  usage: '[OPTION]... NAME',
  description:
    'State, health with its signs, how it ended, what happened to it and what was healed, its last numbers, the end of its console, and the\nregisters of its CPUs. Of its environment no values. Only its owner may read the file.\n' +
    '--memory keeps all memory of its kernel in FILE.memory besides, whatever secrets are in it: an ELF core of User Mode Linux, kdump of QEMU (makedumpfile -R).\nIt is paused meanwhile.',
  options: {
    output: { short: 'o', value: 'FILE', complete: 'file', help: 'where to (default NAME.core; - is standard output)' },
    memory: { help: 'all memory of its kernel as well, in FILE.memory' },
  },
  arguments: [1, 1],
  complete: 'instance',
  examples: [
    ['pk core save web -o web.core', 'before it is restarted; see pk heal off'],
    ['pk core save web --memory', 'web.core and web.core.memory'],
  ],
  async run(invocation) {
    const name = invocation.positionals[0]!;
    const wantsMemory = invocation.flag('memory');
    if (wantsMemory && invocation.value('output') === '-') {
      throw new PolykernelError('invalid', 'memory goes to a file beside the core, and - is none', {
        field: '--memory',
        hint: 'Name a file: pk core save NAME --memory -o FILE.',
      });
    }
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
    const memory = `${file}.memory`;
    if (wantsMemory) core.memoryKept = await keepMemory(client, evidence, memory);
    const content = `${JSON.stringify(core, null, 1)}\n`;
    if (file === '-') await print(Buffer.from(content));
    else await saveText(file, content, wantsMemory ? memory : undefined);
    return 0;
  },
};

/**
 * A device or a FIFO, of root or this user, takes it with the mode that it has: it is everybody's. `memory`: the file that was kept with it,
 * and goes where this fails: who reads that finds no secrets lying about. Rejects with `permission` for a FIFO that another user has put there.
 */
export async function saveText(path: string, content: string, memory?: string): Promise<void> {
  try {
    const there = await lstat(path).catch(() => undefined);
    if (there === undefined || there.isFile()) await replaceFile(path, (file) => file.writeFile(content));
    else await writeInto(path, there.uid, content);
  } catch (error) {
    if (memory !== undefined) await rm(memory, { force: true });
    throw asPolykernelError(error, `writing ${path}`);
  }
}

async function writeInto(path: string, uid: number, content: string): Promise<void> {
  const refuse = (fault: string) => {
    throw new PolykernelError('permission', `${path} ${fault}`, {
      ...{ field: '--output', value: path, hint: 'Name a file in a directory of your own with -o.' },
    });
  };
  // Before it is opened: that waits for a reader.
  if (!isTrusted(uid)) refuse(`belongs to uid ${uid}, who would read what is written there`);
  await using file = await open(path, O_WRONLY | O_NOFOLLOW);
  const status = await file.stat();
  if (status.isFile() || !isTrusted(status.uid)) refuse('was exchanged while it was opened');
  await file.writeFile(content);
}
