/** One file between this machine and a guest, read and written while it travels. */
import { createWriteStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { connect } from '../../client/index.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import type { Command } from '../kit/command.ts';

export const command: Command = {
  summary: 'copy a file into, out of or between instances',
  usage: '[OPTION]... SOURCE DESTINATION',
  description:
    'NAME:/path is in an instance, and NAME:path too, below its root; what is here and has a colon is written ./a:b. `-` is the\n' +
    'content by standard input or output. For a directory: tar -c DIR | pk exec -i NAME tar -x -C /.',
  options: {
    quiet: { short: 'q', help: 'as always; accepted for habit' },
    'follow-link': { short: 'L', help: 'as always: of a link what it leads to; accepted for habit' },
  },
  arguments: [2, 2],
  complete: 'file',
  examples: [
    ['pk cp config.json web:/etc/app/config.json', 'into the guest'],
    ['pk cp web:/var/log/app.log -', 'out of it, to standard output'],
  ],
  async run(invocation) {
    const [from, to] = invocation.positionals.map(place);
    if (from!.name === undefined && to!.name === undefined) {
      throw new PolykernelError('invalid', 'one of the two must be NAME:/path in an instance', {
        hint: 'Such as `pk cp file web:/tmp/file`.',
      });
    }
    const client = await connect();
    if (to!.name !== undefined) {
      const local = from!.path;
      const path = to!.path.endsWith('/') && local !== '-' ? to!.path + basename(local) : to!.path;
      if (from!.name !== undefined) {
        await client.putFile(to!.name, path, await client.getFile(from!.name, local), {});
        return 0;
      }
      if (local === '-') {
        await client.putFile(to!.name, path, process.stdin, {});
        return 0;
      }
      // Opened here, so that a failure to read is not taken for one of the connection.
      await using file = await open(local).catch((error) => {
        throw asPolykernelError(error, `reading ${local}`);
      });
      await client.putFile(to!.name, path, file.createReadStream(), { mode: await modeOf(local, file) });
      return 0;
    }
    const content = await client.getFile(from!.name!, from!.path);
    const local = (await isDirectory(to!.path)) ? join(to!.path, basename(from!.path)) : to!.path;
    await pipeline(content, local === '-' ? process.stdout : createWriteStream(local), { end: local !== '-' }).catch(
      (error) => {
        throw asPolykernelError(error, `writing ${local}`);
      },
    );
    return 0;
  },
};

/** As docker tells them apart. */
export function place(text: string): { name?: string; path: string } {
  const match = /^([a-z0-9][a-z0-9-]*):(.+)$/s.exec(text);
  if (match === null) return { path: text };
  return { name: match[1]!, path: match[2]!.startsWith('/') ? match[2]! : `/${match[2]}` };
}

async function isDirectory(path: string): Promise<boolean> {
  if (path === '-') return false;
  return path.endsWith('/') || ((await stat(path).catch(() => undefined))?.isDirectory() ?? false);
}

async function modeOf(path: string, file: FileHandle): Promise<string> {
  const found = await file.stat();
  if (!found.isFile())
    throw new PolykernelError('invalid', `${path} is not a file`, {
      value: path,
      hint: `Write \`tar -c ${path} | pk exec -i NAME tar -x -C /\`, or share it with \`pk run --volume\`.`,
    });
  return `0${(found.mode & 0o777).toString(8)}`;
}
