/** Short files of a guest's /proc and /sys, as one text. Whatever lies there: its root can have mounted something else. */
import type { Readable } from 'node:stream';
import { PolykernelError } from '../sys/errors.ts';

const MOST_BYTES = 16 * 1024;
const DEADLINE_MS = 10_000;

export interface ShortFileGuest {
  readFile(path: string): Promise<Readable>;
  /** Of GuestLink: counts against it. */
  blame?(what: string): void;
}

/**
 * No more of it is kept than `mostBytes`, and it is not waited for beyond a deadline. Rejects with `protocol` when it is longer,
 * `not-ready` when it does not end in time, and as GuestLink.readFile().
 */
export async function readShortFile(
  guest: ShortFileGuest,
  path: string,
  { mostBytes = MOST_BYTES, deadlineMs = DEADLINE_MS } = {},
): Promise<string> {
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {});
  let stream: Readable | undefined;
  const timer = setTimeout(() => {
    guest.blame?.(path);
    late.reject(new PolykernelError('not-ready', `the guest does not tell ${path} within ${deadlineMs / 1000} s`));
  }, deadlineMs);
  const opened = guest.readFile(path);
  try {
    stream = await Promise.race([opened, late.promise]);
    return await Promise.race([textOf(stream, path, mostBytes), late.promise]);
  } finally {
    clearTimeout(timer);
    // One that is opened after all is not read.
    if (stream === undefined) void opened.then((found) => found.destroy()).catch(() => {});
    stream?.destroy();
  }
}

async function textOf(stream: Readable, path: string, mostBytes: number): Promise<string> {
  let text = '';
  for await (const part of stream as AsyncIterable<Buffer>) {
    text += part.toString('latin1');
    if (text.length > mostBytes)
      throw new PolykernelError('protocol', `${path} of the guest is longer than ${mostBytes} bytes`);
  }
  return text;
}
