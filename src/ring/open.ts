/** Channels by name, in any kernel: what a daemon has made known in a directory of descriptors. */
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { SharedMemory } from '../sys/memory.ts';
import { home } from '../sys/paths.ts';
import { isTrusted } from '../sys/places.ts';
import { ManagedBell } from './bell.ts';
import { Consumer, type ConsumerOptions } from './consumer.ts';
import { type ChannelSide, type Descriptor, parseDescriptor } from './descriptor.ts';
import { CONSUMER, PRODUCER } from './layout.ts';
import { Producer, type ProducerOptions } from './producer.ts';

/** In every guest of Polykernel. */
const GUEST = '/run/pk';
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export interface OpenOptions {
  /** Where the descriptors are. Default: $PK_CHANNELS, else /run/pk/channels in a guest and that of the daemon on the host. */
  directory?: string;
}

/**
 * Becomes the sender or receiver of the channel `name`. Disposing leaves the channel and lets go of its memory; closing
 * ends the stream as well. One process at a time has each side; the kernel frees it when that process dies.
 * Rejects with `invalid` (no name of a channel), `not-found` (no such channel here), `permission` (not its end, or not the
 * user who may), `conflict` (the side is in use), `protocol` (its memory holds no ring, or one in error), `unavailable` (koffi
 * is not installed).
 */
export function openChannel(
  name: string,
  side: 'send',
  options?: OpenOptions & Omit<ProducerOptions, 'bell'>,
): Promise<Producer>;
export function openChannel(
  name: string,
  side: 'recv',
  options?: OpenOptions & Omit<ConsumerOptions, 'bell'>,
): Promise<Consumer>;
export async function openChannel(
  name: string,
  side: ChannelSide,
  options: OpenOptions & ProducerOptions & ConsumerOptions = {},
): Promise<Producer | Consumer> {
  const { directory, ...rest } = options;
  const descriptor = findDescriptor(name, directory);
  if (!descriptor.sides.includes(side)) {
    const other = descriptor.sides.length === 0 ? 'no side of it' : `only ${descriptor.sides.join(' and ')}`;
    throw new PolykernelError('permission', `the channel ${name} can be used for ${other} here, not ${side}`, {
      field: 'side',
      value: side,
      hint: `See whose ends it has: pk channel inspect ${name}`,
    });
  }
  const memory = SharedMemory.region(descriptor.memory, descriptor.offset, descriptor.bytes);
  try {
    if (!memory.lock(side === 'send' ? 0 : 1)) {
      throw new PolykernelError('conflict', `another process has the ${side} side of the channel ${name}`, {
        field: 'side',
        value: side,
        hint: `See who: pk channel inspect ${name}`,
      });
    }
    const [mine, theirs] = side === 'send' ? [PRODUCER, CONSUMER] : [CONSUMER, PRODUCER];
    const bell = new ManagedBell(memory, mine, theirs, descriptor);
    try {
      const attach = { ...rest, bell, owned: memory };
      return side === 'send' ? new Producer(memory, attach) : new Consumer(memory, attach);
    } catch (error) {
      bell[Symbol.dispose]();
      throw error;
    }
  } catch (error) {
    memory[Symbol.dispose]();
    throw error;
  }
}

/** A descriptor says which files are written to: not to be believed when it is another user's. */
function readTrusted(path: string): string {
  const file = openSync(path, 'r');
  try {
    const { uid } = fstatSync(file);
    if (isTrusted(uid)) return readFileSync(file, 'utf8');
    throw new PolykernelError('permission', `${path} belongs to uid ${uid}, who could make you write to any file`, {
      field: 'name',
      value: path,
      hint: 'Open channels of your own daemon or of root; PK_CHANNELS says where they are.',
    });
  } finally {
    closeSync(file);
  }
}

function findDescriptor(name: string, directory: string | undefined): Descriptor {
  if (!NAME.test(name)) {
    throw new PolykernelError('invalid', `${JSON.stringify(name)} cannot be the name of a channel`, {
      field: 'name',
      value: name,
      hint: 'Use lower-case letters, digits and inner dashes, at most 63 characters.',
    });
  }
  const place = directory ?? process.env.PK_CHANNELS ?? join(existsSync(GUEST) ? GUEST : home(), 'channels');
  try {
    return parseDescriptor(readTrusted(join(place, name)));
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw asPolykernelError(error, `opening the channel ${name}`);
  }
  throw new PolykernelError('not-found', `no channel ${name} has an end here (looked in ${place})`, {
    field: 'name',
    value: name,
    hint: 'See which there are: pk channel ls',
  });
}
