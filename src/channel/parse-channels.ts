/** The channels of a stack file, and what is wrong between them and the kernels. */

import { checkName } from '../core/name.ts';
import { keysOf } from '../core/stack-options.ts';
import type { Place, YamlReader } from '../core/yaml-reader.ts';
import { readSize, readWord } from '../core/yaml-values.ts';
import { HOST } from '../instance/contract.ts';
import { closest } from '../sys/closest.ts';
import { type ChannelDefinition, resolveChannel } from './contract.ts';
import { channelOptions } from './stack-options.ts';

/** Ends of channels that one kernel can have. */
const MOST_PER_KERNEL = 16;
const MOST_CHANNELS = 4096;
/** Unknown ends that are compared with every kernel for a did-you-mean: what it costs grows with both. */
const MOST_COMPARED = 16;
const LEAST_BYTES = 4096;
const MOST_BYTES = 2 ** 29;
const SIZE_HINT = 'Give a power of two from 4KiB to 512MiB, such as 1MiB.';

/** What matters of a kernel to a channel. */
export interface KernelOfFile {
  name: string;
  tenant: string | null;
}

export function readChannels(reader: YamlReader, place: Place): ChannelDefinition[] {
  const entries = reader.map(place);
  if (entries === undefined) return [];
  if (entries.size > MOST_CHANNELS) {
    reader.problem(
      place,
      `names ${entries.size} channels; the most is ${MOST_CHANNELS}`,
      'Make several stacks of them.',
    );
    return [];
  }
  return [...entries].flatMap(([name, channel]) => readChannel(reader, name, channel) ?? []);
}

function readChannel(reader: YamlReader, name: string, place: Place): ChannelDefinition | undefined {
  reader.attempt({ ...place, offset: place.keyOffset }, () => checkName(name));
  const entries = reader.map(place, keysOf(channelOptions.options, 'channels.*'));
  if (entries === undefined) return undefined;
  const end = (key: 'from' | 'to') => {
    const at = entries.get(key);
    return (at && readWord(reader, at)) ?? HOST;
  };
  const at = entries.get('size');
  const sizeBytes = at && readSize(reader, at);
  if (
    sizeBytes !== undefined &&
    !(sizeBytes >= LEAST_BYTES && sizeBytes <= MOST_BYTES && Number.isInteger(Math.log2(sizeBytes)))
  ) {
    reader.problem(at!, 'is no size that a channel can have', SIZE_HINT);
    return undefined;
  }
  const [from, to] = [end('from'), end('to')];
  if (from === to) {
    reader.problem(place, `has ${from} at both ends`, `Name another kernel${from === HOST ? '' : ', or host'}.`);
    return undefined;
  }
  return resolveChannel({ name, from, to, ...(sizeBytes !== undefined && { sizeBytes }) });
}

/** Ends must be kernels of the file or the host, and no kernel can have more than so many. */
export function checkChannels(
  reader: YamlReader,
  channels: readonly ChannelDefinition[],
  kernels: readonly KernelOfFile[],
): void {
  const names = kernels.map(({ name }) => name);
  const known = new Set([...names, HOST]);
  const ends = new Map<string, number>();
  let unknown = 0;
  const tenants = new Map(kernels.map((kernel) => [kernel.name, kernel.tenant]));
  for (const { name, from, to } of channels) {
    if (reader.isFull) return;
    if (tenants.has(from) && tenants.has(to) && tenants.get(from) !== tenants.get(to)) {
      const hint = 'Give both the same tenant.';
      reader.problemAt(`channels.${name}.to`, `${to} is of another tenant than ${from}`, hint);
    }
    for (const [key, owner] of Object.entries({ from, to })) {
      const path = `channels.${name}.${key}`;
      if (!known.has(owner)) {
        const near = unknown < MOST_COMPARED ? closest(owner, names) : undefined;
        unknown += 1;
        const hint = near === undefined ? `Name one of the kernels, or ${HOST}.` : `Did you mean ${near}?`;
        reader.problemAt(path, `there is no kernel ${JSON.stringify(owner)} in this file`, hint);
      }
      const count = (ends.get(owner) ?? 0) + 1;
      ends.set(owner, count);
      if (owner !== HOST && count === MOST_PER_KERNEL + 1) {
        const hint = 'Send several kinds of messages through one channel.';
        reader.problemAt(path, `${owner} has more than ${MOST_PER_KERNEL} channels, which is the most`, hint);
      }
    }
  }
}
