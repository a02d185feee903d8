/** The way to what a path stands for, where guests may have put links on it. */
import { readlink, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PolykernelError } from '../sys/errors.ts';
import { liesIn } from '../sys/others.ts';

/** As Linux has it. */
const LINKS_MAX = 40;

/**
 * realpath(), but for links in the directories `writable`, absolute, which guests may write to: these lead wherever a guest wants.
 * Rejects with `conflict` naming `field` at the first, else as realpath().
 */
export async function followOwnLinks(field: string, given: string, writable: readonly string[]): Promise<string> {
  if (writable.length === 0) return await realpath(given);
  const waiting = given.split('/').reverse();
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
    if (liesIn(at, writable)) throw misled(field, given, next);
    if (++links > LINKS_MAX) return await realpath(given);
    if (target.startsWith('/')) at = '/';
    waiting.push(...target.split('/').reverse());
  }
  return at;
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

const misled = (field: string, given: string, link: string): PolykernelError =>
  new PolykernelError('conflict', `${field}: on the way to ${given}, ${link} is a link that a guest may have made`, {
    field,
    value: given,
    hint: 'It lies in a writable volume of an instance. Give the path that it leads to, if that is what you want.',
  });
