/** The way to what a path stands for, where guests or other users of the host may have put links on it. */
import { lstat, readlink, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { PolykernelError } from '../sys/errors.ts';
import { liesIn } from '../sys/others.ts';

/** As Linux has it. */
const LINKS_MAX = 40;

/**
 * realpath(), but for two kinds of links, which lead wherever somebody else wants: those in the directories `writable`, absolute, which
 * guests may write to; and those of other users than root and this one, or in a directory of theirs, where what they lead to is not their
 * own. So who owns a directory on the way cannot put what is ours in the place of what is his. Rejects with `conflict` naming `field` at the first, else as realpath().
 */
export async function followOwnLinks(field: string, given: string, writable: readonly string[]): Promise<string> {
  const waiting = given.split('/').reverse();
  const others: { link: string; uid: number; place?: string }[] = [];
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
    if (++links > LINKS_MAX) throw tooMany(given);
    const { uid } = await lstat(next);
    if ((await targetOf(next)) !== target) throw misled(field, given, `${next} is being exchanged`, OF_ANOTHER);
    if (isStranger(uid)) others.push({ link: next, uid });
    else others.push(...(await ownersOf(at)).map((owner) => ({ link: next, ...owner })));
    if (target.startsWith('/')) at = '/';
    waiting.push(...target.split('/').reverse());
  }
  const owner = others.length === 0 ? undefined : (await stat(at)).uid;
  const stranger = others.find(({ uid, place }) => uid !== owner && !(place !== undefined && liesIn(at, [place])));
  if (stranger === undefined) return at;
  const { link, uid, place } = stranger;
  const whose = place === undefined ? 'a link of' : 'a link in a directory of';
  throw misled(field, given, `${link} is ${whose} user ${uid} to what is not his`, OF_ANOTHER);
}

const isStranger = (uid: number): boolean => uid !== 0 && uid !== process.getuid?.();

/** The directories of strangers at `path` and above it: what lies in one is his to exchange, whoever it belongs to. */
async function ownersOf(path: string): Promise<{ uid: number; place: string }[]> {
  if (path === '/') return [];
  const { uid } = await lstat(path);
  const above = await ownersOf(dirname(path));
  return isStranger(uid) ? [{ uid, place: path }, ...above] : above;
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

/** As realpath() has it, which is not asked: by then it could lead elsewhere. */
const tooMany = (path: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`ELOOP: too many symbolic links encountered, realpath '${path}'`), {
    ...{ code: 'ELOOP', errno: -constants.errno.ELOOP, syscall: 'realpath', path },
  });

const IN_VOLUME = 'It lies in a writable volume of an instance.';
const OF_ANOTHER = 'He can have it lead elsewhere at any time.';

const misled = (field: string, given: string, what: string, why: string): PolykernelError =>
  new PolykernelError('conflict', `${field}: on the way to ${given}, ${what}`, {
    field,
    value: given,
    hint: `${why} Give the path that it leads to, if that is what you want.`,
  });
