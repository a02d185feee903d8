/** One file between this machine and a guest, read and written while it travels. */
import { createWriteStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { connect } from '../../client/index.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import type { Command } from '../kit/command.ts';

export const command: Command = {
  summary: 'copy a file into or out of an instance',
  usage: 'SOURCE DESTINATION',
  description: 'One of the two is NAME:/path in an instance; `-` is standard input or output.',
  options: {},
  arguments: [2, 2],
  complete: 'file',
  examples: [
    ['pk cp config.json web:/etc/app/config.json', 'into the guest'],
    ['pk cp web:/var/log/app.log -', 'out of it, to standard output'],
  ],
  async run(invocation) {
    const [from, to] = invocation.positionals.map(place);
    if ((from!.name === undefined) === (to!.name === undefined)) {
      throw new PolykernelError('invalid', 'one of the two must be NAME:/path in an instance, the other a path here', {
        hint: 'Such as `pk cp file web:/tmp/file`.',
      });
    }
    const client = await connect();
    if (to!.name !== undefined) {
      const local = from!.path;
      const path = to!.path.endsWith('/') && local !== '-' ? to!.path + basename(local) : to!.path;
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

function place(text: string): { name?: string; path: string } {
  const match = /^([a-z0-9][a-z0-9-]*):(\/.*)$/.exec(text);
  return match === null ? { path: text } : { name: match[1]!, path: match[2]! };
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
      hint: 'Directories are shared with `pk run --volume`.',
    });
  return `0${(found.mode & 0o777).toString(8)}`;
}
