/**
 * A channel as the kernel at one of its ends sees it: the small text file that makes it known by name (docs/channel.md).
 * One `key=value` per line, unknown keys ignored, so that a shell or a C program reads it as easily.
 */
import { isAbsolute } from 'node:path';
import { PolykernelError } from '../sys/errors.ts';
import { HEADER_BYTES, LEAST_DATA_BYTES, MOST_DATA_BYTES } from './layout.ts';

export type ChannelSide = 'send' | 'recv';

export interface Descriptor {
  /** The file to map, and where in it the ring lies, in bytes. */
  memory: string;
  offset: number;
  bytes: number;
  /** The sides that may be attached here. */
  sides: readonly ChannelSide[];
  /** FIFO of who manages the channel, and what to write to it, a line: it wakes the peer and looks at the header. */
  bell: string;
  number: number;
  /** How the peer is woken: by the futex of its attention word, or through the bell because it is in another kernel. */
  peer: 'futex' | 'bell';
  /** A word to sleep on where the ring's memory can hold no futex; undefined = the attention word. */
  sleep: { path: string; offset: number } | undefined;
}

export function encodeDescriptor(descriptor: Descriptor): string {
  const { memory, offset, bytes, sides, bell, number, peer, sleep } = descriptor;
  const lines = [`memory=${memory}`, `offset=${offset}`, `bytes=${bytes}`, `sides=${sides.join(',')}`];
  lines.push(`bell=${bell}`, `number=${number}`, `peer=${peer}`);
  if (sleep !== undefined) lines.push(`sleep=${sleep.path}`, `sleep-offset=${sleep.offset}`);
  return `${lines.join('\n')}\n`;
}

/** Throws `protocol` naming the key that is missing or makes no sense. */
export function parseDescriptor(text: string): Descriptor {
  const values = new Map(
    text.split('\n').flatMap((line): [string, string][] => {
      const at = line.indexOf('=');
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
    }),
  );
  const reject = (key: string) =>
    new PolykernelError('protocol', `the description of the channel has no sound ${key}`, {
      field: key,
      value: values.get(key),
    });
  const path = (key: string) => {
    const value = values.get(key);
    if (value === undefined || !isAbsolute(value)) throw reject(key);
    return value;
  };
  const number = (key: string, most = Number.MAX_SAFE_INTEGER) => {
    const value = values.get(key) ?? '';
    if (!/^\d{1,16}$/.test(value) || Number(value) > most) throw reject(key);
    return Number(value);
  };
  const bytes = number('bytes', HEADER_BYTES + MOST_DATA_BYTES);
  if (bytes < HEADER_BYTES + LEAST_DATA_BYTES) throw reject('bytes');
  const sides = (values.get('sides') ?? '').split(',').filter((side) => side !== '');
  if (!sides.every((side) => side === 'send' || side === 'recv')) throw reject('sides');
  const peer = values.get('peer');
  if (peer !== 'futex' && peer !== 'bell') throw reject('peer');
  return {
    memory: path('memory'),
    offset: number('offset'),
    bytes,
    sides,
    bell: path('bell'),
    number: number('number', 0xffff_ffff),
    peer,
    sleep: values.has('sleep') ? { path: path('sleep'), offset: number('sleep-offset', 2 ** 20) } : undefined,
  };
}
