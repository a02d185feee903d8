/** Who may be at the two ends of a channel. */

import { HOST } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';

/** An owner of an end and its tenant; undefined: it is not there yet. */
export type TenantEnd = readonly [owner: string, tenant: string | null | undefined];

/** Memory that two share is no wall. Throws `conflict` naming `field` for instances of two tenants; the host may be at any end. */
export function checkTenants(channel: string, field: string, one: TenantEnd, other: TenantEnd): void {
  if ([one, other].some(([owner, tenant]) => owner === HOST || tenant === undefined) || one[1] === other[1]) return;
  const owners = [one, other].map(([owner, tenant]) => `${owner} (${tenant ?? 'no tenant'})`);
  throw new PolykernelError('conflict', `the channel ${channel} would join two tenants: ${owners.join(' and ')}`, {
    field,
    value: channel,
    hint: 'Give both instances the same tenant, or let a program of this machine pass messages on between two channels.',
  });
}
