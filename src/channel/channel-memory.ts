/** The memory of channels: asked of keepers, mapped here, found again, and described to the host's programs. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Records } from '../core/table.ts';
import type { SharedRegion } from '../driver/index.ts';
import { HOST } from '../instance/contract.ts';
import { ringBytes, SharedMemory } from '../ring/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { Channel } from './channel.ts';
import { describeChannel } from './channel-descriptors.ts';
import { type ChannelRecord, endOf, SIDES } from './contract.ts';
import type { Keepers } from './keeper.ts';

/** Left to the machine beyond what a channel takes. */
const SPARE_BYTES = 64 * 2 ** 20;
/** Among the descriptors. */
export const BELL_FIFO = '.bell';

interface Around {
  /** Of the descriptors. */
  readonly directory: string;
  readonly keepers: Keepers;
  readonly records: Records<ChannelRecord>;
}

/** INVARIANT: memory is mapped here and kept by a keeper: either one may die without loss. */
export class ChannelMemory {
  readonly #around: Around;

  constructor(around: Around) {
    this.#around = around;
  }

  /** Makes the memory of a new channel. Rejects with `unavailable` or `internal`. */
  async make(channel: Channel): Promise<void> {
    const { id, sizeBytes } = channel.record;
    await this.#around.keepers.start(id, sizeBytes);
    this.#map(channel);
    this.describe(channel);
  }

  /** After a restart: its memory is with its keeper, or it is gone and made anew. Rejects with `unavailable` or `internal`. */
  async find(channel: Channel): Promise<void> {
    const { keepers, records } = this.#around;
    if (keepers.find(channel.record.id) === undefined) {
      await keepers.end(channel.record.id);
      // Another id: what kernels may still have mapped is not this memory.
      const record = { ...channel.record, id: randomBytes(16).toString('hex') };
      records.put(record);
      channel.lostId = channel.record.id;
      channel.record = record;
      await keepers.start(record.id, record.sizeBytes);
      channel.tell('channel-error', 'its memory was lost with the host; it is empty now');
    }
    this.#map(channel);
    this.describe(channel);
  }

  /** Starts a keeper anew for memory that is still mapped here. Resolves with whether that was necessary. */
  async keep({ memory, record }: Channel): Promise<boolean> {
    const { keepers } = this.#around;
    if (memory === undefined || keepers.find(record.id) !== undefined) return false;
    await keepers.start(record.id, record.sizeBytes, ownPath(memory));
    return true;
  }

  /** Makes the channel known to the host's processes, for the sides that are the host's. */
  describe({ record, memory }: Channel): void {
    const { directory, keepers } = this.#around;
    const path = keepers.find(record.id);
    describeChannel(directory, BELL_FIFO, record, path && memory && { path, bytes: memory.bytes });
  }

  /** As a kernel of `instance` is given it; undefined when it has no end of it, or there is none. */
  regionFor({ record, memory }: Channel, instance: string): SharedRegion | undefined {
    const side = SIDES.find((each) => endOf(record, each).owner === instance);
    if (instance === HOST || side === undefined || memory === undefined) return undefined;
    const path = this.#around.keepers.find(record.id) ?? ownPath(memory);
    const { id, name } = record;
    return { id, name, slot: endOf(record, side).slot!, path, bytes: memory.bytes, side };
  }

  /** Throws `internal` when its keeper is gone. */
  #map(channel: Channel): void {
    const path = this.#around.keepers.find(channel.record.id);
    if (path === undefined) throw new PolykernelError('internal', 'the keeper of its memory is gone');
    const memory = SharedMemory.open(path);
    if (memory.bytes < ringBytes(channel.record.sizeBytes)) {
      memory[Symbol.dispose]();
      throw new PolykernelError('internal', 'the memory has another size than it was made with');
    }
    channel.memory = memory;
  }
}

/** All pages of a channel are taken at once: refuses, with `unavailable`, what the machine does not have. */
export function checkMemory(sizeBytes: number): void {
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1]) * 1024;
  if (!(available < sizeBytes + SPARE_BYTES)) return;
  throw new PolykernelError('unavailable', `${formatBytes(available)} of memory are available on this machine`, {
    field: 'sizeBytes',
    value: sizeBytes,
    hint: 'Ask for a smaller channel, or end what is not needed.',
  });
}

/** As other processes of this user can open it while this one runs. */
const ownPath = ({ fd }: SharedMemory): string => `/proc/${process.pid}/fd/${fd}`;
