/** Whether a kernel's program listens at a port yet, as the kernel itself says. */
import { readShortFile, type ShortFileGuest } from '../guest/index.ts';
import { PolykernelError } from '../sys/errors.ts';

/** proc(5), net/tcp: states of include/net/tcp_states.h. */
const LISTEN = '0A';
/** Of some eight hundred sockets. */
const MOST_BYTES = 128 * 1024;
const DEADLINE_MS = 1000;
/** 127.0.0.0/8, ::1 and ::ffff:127.0.0.0/104, as the kernel writes them: words of the machine's order. */
const LOOPBACK = /^(.{6}7F|0{24}01000000|0{16}FFFF0000.{6}7F)$/;

/** Whether text of /proc/net/tcp or tcp6 has a socket that takes connections from elsewhere at `port`. */
export function isListening(text: string, port: number): boolean {
  return text.split('\n').some((line) => {
    const [, local = '', , state] = line.trim().split(/ +/, 4);
    const [address = '', digits = ''] = local.split(':');
    return state === LISTEN && Number.parseInt(digits, 16) === port && !LOOPBACK.test(address);
  });
}

/** Asks a guest. Rejects with `not-ready` when it does not answer in time, which does not count against it: it has just come. */
export async function listens(
  guest: Pick<ShortFileGuest, 'readFile'>,
  port: number,
  deadlineMs = DEADLINE_MS,
): Promise<boolean> {
  const unblamed = { readFile: (path: string) => guest.readFile(path) };
  for (const path of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readShortFile(unblamed, path, { mostBytes: MOST_BYTES, deadlineMs }).catch((error) => {
      if (error instanceof PolykernelError && error.code === 'not-ready') throw error;
      // A kernel without IPv6 has none of the second.
      return '';
    });
    if (isListening(text, port)) return true;
  }
  return false;
}
