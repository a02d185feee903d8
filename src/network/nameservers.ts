/** The name servers of the host that a kernel with a way out can ask. */
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';

/** The second names the servers behind systemd-resolved, which itself listens on loopback. */
const FILES = ['etc/resolv.conf', 'run/systemd/resolve/resolv.conf'];
/** As many as the C library reads. */
const MOST = 3;

/** IPv4 addresses that are not the host's loopback or link-local; none when the host names no such server. */
export function nameservers(root = '/'): string[] {
  for (const file of FILES) {
    const found = [...read(join(root, file)).matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].map(([, address]) => address!);
    const usable = found.filter((address) => isIPv4(address) && !/^(127|0|169\.254)\./.test(address));
    if (usable.length > 0) return usable.slice(0, MOST);
  }
  return [];
}

/** What /etc/resolv.conf says in a kernel with a way out. */
export const resolvConf = (root?: string): string =>
  nameservers(root)
    .map((address) => `nameserver ${address}\n`)
    .join('');

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
