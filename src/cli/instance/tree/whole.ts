/** An archive out of a guest, of which it is told where and why it broke off. */
import type { Client } from '../../../client/index.ts';
import { PolykernelError } from '../../../sys/errors.ts';
import { plainLine } from '../../../sys/text.ts';
import { Follower } from './follow.ts';

interface Source {
  client: Pick<Client, 'inspect'>;
  /** Of the instance. */
  name: string;
  /** What is copied of it. */
  path: string;
  /** When it was asked for, as Date.now. */
  begunMs: number;
}

/** What `archive` gives; where that breaks off the error names the file it was in, and why it did. */
export async function* whole(archive: AsyncIterable<Buffer>, source: Source): AsyncGenerator<Buffer> {
  const follower = new Follower();
  try {
    for await (const part of archive) {
      follower.push(part);
      yield part;
    }
  } catch (cause) {
    throw await brokenOff(source, follower.at, cause);
  }
}

/** Why comes after the answer has begun, and so does not come at all: it is looked for. */
async function brokenOff(
  { client, name, path, begunMs }: Source,
  at: string,
  cause: unknown,
): Promise<PolykernelError> {
  const [, ...below] = at.split('/').filter((part) => part !== '');
  const file = plainLine([path.replace(/(?<=.)\/+$/, ''), ...below].join('/').replace('//', '/'));
  const told = (code: 'kernel-died' | 'protocol' | 'unavailable', why: string, hint?: string) =>
    new PolykernelError(code, `copying ${name}:${file} broke off: ${why}`, { field: 'path', value: file, hint, cause });
  const status = await client.inspect(name).catch((error: Error) => error);
  if (status instanceof Error) {
    const isRemoved = status instanceof PolykernelError && status.code === 'not-found';
    return isRemoved
      ? told('kernel-died', `${name} was removed`)
      : told(
          'unavailable',
          status.message,
          'Try again: the daemon is started by itself, and instances go on without it.',
        );
  }
  const isAnother = status.startedAt !== null && Date.parse(status.startedAt) > begunMs;
  if (isAnother || !['running', 'paused'].includes(status.state))
    return told('kernel-died', `its kernel has ended${status.exit ? ` (${status.exit.message})` : ''}`);
  return told(
    'protocol',
    'the guest could not read on, or the daemon has ended',
    'Mostly a file that the guest itself may not read (`pk exec NAME find PATH ! -readable` lists those), or a path of more than 4,095 bytes. What came before it was copied.',
  );
}
