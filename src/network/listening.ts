/** Whether a kernel's program listens at a port yet, as the kernel itself says. */
import type { Readable } from 'node:stream';

/** proc(5), net/tcp: states of include/net/tcp_states.h. */
const LISTEN = '0A';
/** Of a guest no more is read than this: some six hundred sockets. */
const MOST_BYTES = 128 * 1024;
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

/** Asks a guest. Rejects when it does not answer, or has no such file. */
export async function listens(
  guest: { readFile(path: string): Promise<Readable> },
  port: number,
  signal: AbortSignal,
): Promise<boolean> {
  for (const path of ['/proc/net/tcp', '/proc/net/tcp6']) {
    // A kernel without IPv6 has none of the second.
    const stream = await guest.readFile(path).catch(() => undefined);
    if (stream === undefined) continue;
    const stop = () => stream.destroy();
    signal.addEventListener('abort', stop, { once: true });
    try {
      if (signal.aborted) return false;
      let text = '';
      for await (const part of stream) {
        text += part;
        if (text.length > MOST_BYTES) break;
      }
      if (isListening(text, port)) return true;
    } finally {
      signal.removeEventListener('abort', stop);
      stream.destroy();
    }
  }
  return false;
}
