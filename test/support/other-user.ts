/** An ordinary user for tests that root runs: known to the system, with ids of its own or without, in a mount namespace only. */
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { IdBlock } from '../../src/sys/identity.ts';
import { which } from '../../src/sys/process.ts';

/** A user of no system. */
export const USER = 1_895_890_000;
export const SUBIDS: IdBlock = { start: 1_895_900_000, count: 65_535 };

export const canHaveSubids = which('newuidmap') !== undefined && which('newgidmap') !== undefined;

const CHECKOUT = join(import.meta.dirname, '../..');

/** The uppermost directory above the checkout that others may not enter, such as root's home. */
function closedAbove(): string | undefined {
  const above: string[] = [];
  for (let at = dirname(CHECKOUT); at !== dirname(at); at = dirname(at)) above.unshift(at);
  return above.find((path) => (statSync(path).mode & 0o001) === 0);
}

/** Opens a way to the checkout in this mount namespace: an open directory with nothing else in it over the closed one. */
function wayIn(): string {
  const closed = closedAbove();
  if (closed === undefined) return ':';
  const quoted = (path: string) => `'${path.replaceAll("'", "'\\''")}'`;
  const [checkout, over] = [quoted(CHECKOUT), quoted(closed)];
  return `mkdir -p "$0/checkout" && mount --bind ${checkout} "$0/checkout" && mount -t tmpfs -o mode=0755 way ${over} &&
    mkdir -p ${checkout} && mount --bind "$0/checkout" ${checkout}`;
}

/**
 * Runs what follows it, after the path of a directory for copies of /etc/passwd and the like, as USER. `withSubids`: the
 * system has given him SUBIDS.
 */
export function asUser(withSubids: boolean, directory: string): string[] {
  const script = `
    mount --make-rprivate / && for f in passwd group subuid subgid; do cp /etc/$f "$0/$f" 2>/dev/null || : > "$0/$f"; done
    echo "pk-test:x:${USER}:${USER}::/:/bin/sh" >> "$0/passwd"; echo "pk-test:x:${USER}:" >> "$0/group"
    ${withSubids ? `for f in subuid subgid; do echo "pk-test:${SUBIDS.start}:${SUBIDS.count}" >> "$0/$f"; done` : ''}
    for f in passwd group subuid subgid; do [ ! -e /etc/$f ] || mount --bind "$0/$f" /etc/$f || exit 99; done
    ${wayIn()} || exit 98
    exec setpriv --reuid ${USER} --regid ${USER} --clear-groups "$@"`;
  return ['unshare', '-m', 'sh', '-c', script, directory];
}
