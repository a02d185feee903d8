/** Files and directories between this machine and guests, read and written while they travel. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Client, connect } from '../../client/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Command } from '../kit/command.ts';
import { complain } from '../kit/output.ts';
import { interruptible } from '../kit/signals.ts';

interface Place {
  /** Of the instance; undefined: this machine. */
  name?: string;
  path: string;
}

export const command: Command = {
  summary: 'copy files and directories into, out of or between instances',
  usage: '[OPTION]... SOURCE DESTINATION',
  description:
    'NAME:/path is in an instance, and NAME:path too, below its root; what is here and has a colon is written ./a:b. `-` is a tar\n' +
    'archive by standard input or output. A directory goes into a DESTINATION that is there, and else becomes it; of `DIR/.` what is in it.',
  options: {
    archive: { short: 'a', help: 'keep owners, by their numbers; into an instance also the bits of set-id programs' },
    quiet: { short: 'q', help: 'as always; accepted for habit' },
    'follow-link': { short: 'L', help: 'as always: of a link what it leads to; accepted for habit' },
  },
  arguments: [2, 2],
  complete: 'file',
  examples: [
    ['pk cp config.json web:/etc/app/config.json', 'a file into the guest'],
    ['pk cp site/. web:/srv', 'what is in a directory'],
    ['pk cp web:/var/log - | tar -x', 'out of it, as an archive'],
  ],
  async run(invocation) {
    const [from, to] = invocation.positionals.map(place) as [Place, Place];
    if (from.name === undefined && to.name === undefined) {
      throw new PolykernelError('invalid', 'one of the two must be NAME:/path in an instance', {
        hint: 'Such as `pk cp file web:/tmp/file`.',
      });
    }
    const owners = invocation.flag('archive');
    if (owners && to.name === undefined && to.path !== '-' && process.getuid?.() !== 0)
      throw new PolykernelError('permission', '--archive: only root can give files to other users here', {
        field: '--archive',
      });
    // What was begun is taken back: no file is half there.
    const interrupt = interruptible();
    try {
      await copy(from, to, owners, interrupt.signal);
      return 0;
    } catch (error) {
      if (interrupt.signal.aborted) return interrupt.code();
      throw error;
    } finally {
      interrupt.release();
    }
  },
};

async function copy(from: Place, to: Place, owners: boolean, signal: AbortSignal): Promise<void> {
  const client = await connect({ signal });
  const archive = await reading(client, from, to, signal);
  if (to.name !== undefined) {
    const isArchive = from.name === undefined && from.path === '-';
    const name = isArchive ? '' : nameOf(from.path);
    const words = { ...(name === '' ? {} : { as: name }), directory: isArchive, owners };
    // What could not be read here is no failure of the connection, as which it shows.
    let failed: Error | undefined;
    archive.once('error', (error: Error) => {
      failed = error;
    });
    await client.putTree(to.name, to.path, archive, words, signal).catch((error) => {
      throw failed ?? error;
    });
  } else if (to.path === '-') await pipeline(archive, process.stdout, { end: false, signal });
  else {
    const { unpackTree } = await import('./tree/unpack.ts');
    await unpackTree(archive, to.path, { name: nameOf(from.path), keepsOwners: owners, leftOut: complain });
  }
}

/** The archive that `from` is, as `to` is to get it. */
async function reading(client: Client, from: Place, to: Place, signal: AbortSignal): Promise<Readable> {
  if (from.name !== undefined) {
    const name = to.name === undefined && to.path === '-' ? nameOf(from.path) : '';
    if (name !== '' && process.stdout.isTTY) throw onTerminal('output', '> FILE');
    const begunMs = Date.now();
    const archive = await client.getTree(from.name, from.path, name === '' ? {} : { as: name }, signal);
    const { whole } = await import('./tree/whole.ts');
    return Readable.from(whole(archive, { client, name: from.name, path: from.path, begunMs }), { objectMode: false });
  }
  if (from.path === '-') {
    if (process.stdin.isTTY) throw onTerminal('input', '< FILE');
    return process.stdin;
  }
  const { packTree } = await import('./tree/pack.ts');
  const parts = packTree(from.path, complain);
  // Begun here, so that what is not there is told before anything is sent.
  const first = await parts.next();
  async function* all() {
    if (!first.done) yield first.value;
    yield* parts;
  }
  return Readable.from(all(), { objectMode: false });
}

const onTerminal = (what: string, instead: string) =>
  new PolykernelError('invalid', `standard ${what} is a terminal, and \`-\` a tar archive`, {
    hint: `Write \`pk cp ... ${instead}\`, or copy to a file by its name.`,
  });

/** What a copy in a directory is called; empty for `DIR/.`, of which the content is copied. */
export function nameOf(path: string): string {
  const last = path.replace(/\/+$/, '').split('/').at(-1)!;
  return last === '.' || last === '..' ? '' : last;
}

/** As docker tells them apart. */
export function place(text: string): Place {
  const match = /^([a-z0-9][a-z0-9-]*):(.+)$/s.exec(text);
  if (match === null) return { path: text };
  return { name: match[1]!, path: match[2]!.startsWith('/') ? match[2]! : `/${match[2]}` };
}
