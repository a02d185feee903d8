/** Which instance has which end of a channel, and which end an instance may still take. */
import { MAX_CHANNELS } from '../guest/index.ts';
import { type ChannelUse, HOST } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import { type ChannelRecord, checkTenants, type EndRecord, endOf, otherSide, SIDES } from './contract.ts';

type Channels = Iterable<{ readonly record: ChannelRecord }>;

export const HOST_END: EndRecord = { owner: HOST, slot: null, claimed: false };

/** An end for `owner` of a channel beside `channels`, in its lowest free slot. Throws `conflict` when it has as many as it can. */
export function endFor(channels: Channels, owner: string, claimed: boolean): EndRecord {
  if (owner === HOST) return { owner, slot: null, claimed };
  const taken = new Set<number | null>();
  for (const { record } of channels)
    for (const side of SIDES) if (endOf(record, side).owner === owner) taken.add(endOf(record, side).slot);
  for (let slot = 0; slot < MAX_CHANNELS; slot++) if (!taken.has(slot)) return { owner, slot, claimed };
  throw new PolykernelError('conflict', `${owner} has ${MAX_CHANNELS} channels already, which is the most`, {
    field: 'channels',
    value: owner,
    hint: 'Send several kinds of messages through one channel, or remove one.',
  });
}

/** Whether `instance` is yet to get the end it wants. Throws `conflict` when it cannot. `inUse`: a program has that side open. */
export function isToClaim(
  record: ChannelRecord,
  { name, side }: ChannelUse,
  instance: string,
  inUse: () => boolean,
): boolean {
  const { owner } = endOf(record, side);
  if (owner === instance) return false;
  const refuse = (reason: string, hint: string) => {
    throw new PolykernelError('conflict', reason, { field: 'channels', value: `${name}:${side}`, hint });
  };
  if (owner !== HOST) refuse(`the ${side} side of the channel ${name} is ${owner}'s`, `See pk channel inspect ${name}`);
  if (inUse())
    refuse(`a program of this machine has the ${side} side of the channel ${name} open`, 'End that program first.');
  if (endOf(record, otherSide(side)).owner === instance)
    refuse(`both ends of the channel ${name} would be ${instance}'s`, 'Use two channels, or none.');
  return true;
}

/** Throws `conflict` when one of `channels` would lead from an instance, of `tenant`, to one of another tenant. */
export function checkPeers(
  channels: Channels,
  instance: string,
  tenant: string | null,
  tenantOf: (instance: string) => string | null | undefined,
): void {
  for (const { record } of channels)
    for (const side of SIDES) {
      const other = endOf(record, otherSide(side)).owner;
      if (endOf(record, side).owner !== instance) continue;
      checkTenants(record.name, 'tenant', [instance, tenant], [other, tenantOf(other)]);
    }
}
