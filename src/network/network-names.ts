/** Names in the private network: who is told which, and which nobody may take. */
import { isIP } from 'node:net';
import type { InstanceSpec } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';

export interface Named {
  spec: Pick<InstanceSpec, 'name' | 'hostname' | 'tenant'>;
  /** null: it is in no network. */
  address: string | null;
}

/** What programs take for their own machine, whatever /etc/hosts says, and what Debian has there for IPv6. */
const RESERVED = /^(?:(?:.{0,253}\.)?localhost|localhost\.localdomain|broadcasthost|host|ip6-[a-z]{1,63})$/;
/** As inet_aton reads one: up to four numbers, decimal or hexadecimal. */
const NUMERIC = /^(?:0x[0-9a-f]{1,63}|\d{1,63})(?:\.(?:0x[0-9a-f]{1,63}|\d{1,63})){0,3}$/;

/** /etc/hosts of the guests of a tenant; null: of those who have none. Names come from here alone. */
export function hostsFile(members: readonly Named[], tenant: string | null): string {
  const lines = members.flatMap(({ spec, address }) =>
    address === null || spec.tenant !== tenant
      ? []
      : [`${address} ${[...new Set([spec.name, spec.hostname])].join(' ')}`],
  );
  return ['127.0.0.1 localhost', ...lines.sort(), ''].join('\n');
}

/**
 * Throws `conflict` when a name or host name of a new instance in the network is that of another of its tenant, `machine`'s or
 * a reserved one, so that no name leads to two addresses.
 */
export function checkNames(spec: Named['spec'], others: readonly Named[], machine: string): void {
  const machineNames = [machine, machine.split('.')[0]].map((name) => name?.toLowerCase());
  for (const field of ['name', 'hostname'] as const) {
    const value = spec[field];
    const name = value.toLowerCase();
    const refuse = (reason: string) => {
      throw new PolykernelError('conflict', `the ${field} ${value} ${reason}`, {
        field,
        value,
        hint: field === 'name' ? 'Choose another name.' : 'Choose another host name, or leave --hostname out.',
      });
    };
    if (RESERVED.test(name)) refuse('is reserved');
    if (isIP(name) !== 0 || NUMERIC.test(name)) refuse('is an address in the private network, and no name');
    // The name of an instance is no claim to be the machine, which no guest is told the name of.
    if (field === 'hostname' && value !== spec.name && machineNames.includes(name)) refuse('is that of this machine');
    for (const other of others) {
      if (other.address === null || other.spec.tenant !== spec.tenant || other.spec.name === spec.name) continue;
      const theirs = [other.spec.name, other.spec.hostname].map((each) => each.toLowerCase());
      if (theirs.includes(name)) refuse(`is that of the instance ${other.spec.name} in the private network`);
    }
  }
}
