/** Whether somebody in a guest takes connections at a port, of which its kernel's tables of sockets tell. */
import type { Readable } from 'node:stream';
import type { GuestLink } from './link.ts';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
/** A guest's word: no longer than that is listened to. */
const LONGEST = 256 * 1024;
/** Of this machine alone: nobody reaches it from elsewhere. */
const LOOPBACK = /^(?:[0-9A-F]{6}7F|0{24}01000000)$/;
const LISTENS = '0A';

/** Rejects as GuestLink.readFile() for both tables. */
export async function listens(guest: Pick<GuestLink, 'readFile'>, port: number): Promise<boolean> {
  for (const table of TABLES) {
    // A kernel may be without the newer one.
    const text = await guest.readFile(table).then(content, (error) => {
      if (table === TABLES[0]) throw error;
      return '';
    });
    if (isListening(text, port)) return true;
  }
  return false;
}

/** Lines such as `0: 00000000:0050 00000000:0000 0A ...`. */
export function isListening(table: string, port: number): boolean {
  return table.split('\n').some((line) => {
    const [, local = '', , state] = line.trim().split(/\s+/, 4);
    const [address = '', at = ''] = local.split(':');
    return state === LISTENS && Number.parseInt(at, 16) === port && !LOOPBACK.test(address);
  });
}

async function content(file: Readable): Promise<string> {
  let text = '';
  for await (const chunk of file) {
    text += (chunk as Buffer).toString('latin1');
    if (text.length > LONGEST) break;
  }
  return text;
}
