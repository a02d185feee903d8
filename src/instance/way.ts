/** The way to what a path stands for, where guests or other users of the host may have put links on it. */
import { lstat, readlink, realpath, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PolykernelError } from '../sys/errors.ts';
import { liesIn } from '../sys/others.ts';

/** As Linux has it. */
const LINKS_MAX = 40;

/**
 * realpath(), but for two kinds of links, which lead wherever somebody else wants: those in the directories `writable`, absolute, which
 * guests may write to; and those of other users than root and this one, where what they lead to is not their own. So who owns a directory
 * on the way cannot put what is ours in the place of what is his. Rejects with `conflict` naming `field` at the first, else as realpath().
 */
export async function followOwnLinks(field: string, given: string, writable: readonly string[]): Promise<string> {
  const waiting = given.split('/').reverse();
  const others: { link: string; uid: number }[] = [];
  let at = '/';
  for (let links = 0; waiting.length > 0; ) {
    const name = waiting.pop()!;
    if (name === '..') at = dirname(at);
    if (['', '.', '..'].includes(name)) continue;
    const next = join(at, name);
    const target = await targetOf(next);
    if (target === undefined) {
      at = next;
      continue;
    }
    if (liesIn(at, writable)) throw misled(field, given, `${next} is a link that a guest may have made`, IN_VOLUME);
    if (++links > LINKS_MAX) return await realpath(given);
    const { uid } = await lstat(next);
    if (uid !== 0 && uid !== process.getuid?.()) others.push({ link: next, uid });
    if (target.startsWith('/')) at = '/';
    waiting.push(...target.split('/').reverse());
  }
  const owner = others.length === 0 ? undefined : (await stat(at)).uid;
  const stranger = others.find(({ uid }) => uid !== owner);
  if (stranger === undefined) return at;
  const { link, uid } = stranger;
  throw misled(field, given, `${link} is a link of user ${uid} to what is not his`, OF_ANOTHER);
}

/** undefined for what is no link. */
async function targetOf(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
    throw error;
  }
}

const IN_VOLUME = 'It lies in a writable volume of an instance.';
const OF_ANOTHER = 'He can have it lead elsewhere at any time.';

const misled = (field: string, given: string, what: string, why: string): PolykernelError =>
  new PolykernelError('conflict', `${field}: on the way to ${given}, ${what}`, {
    field,
    value: given,
    hint: `${why} Give the path that it leads to, if that is what you want.`,
  });
