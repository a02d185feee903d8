/** An ordinary user for tests that root runs: known to the system, with ids of its own or without, in a mount namespace only. */
import type { IdBlock } from '../src/sys/identity.ts';
import { which } from '../src/sys/process.ts';

/** A user of no system. */
export const USER = 1_895_890_000;
export const SUBIDS: IdBlock = { start: 1_895_900_000, count: 65_535 };

export const canHaveSubids = which('newuidmap') !== undefined && which('newgidmap') !== undefined;

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
    exec setpriv --reuid ${USER} --regid ${USER} --clear-groups "$@"`;
  return ['unshare', '-m', 'sh', '-c', script, directory];
}
