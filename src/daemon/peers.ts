/** Which instances have to do with each other, by what they share. */
import type { ChannelStatus } from '../channel/contract.ts';
import type { ServiceStatus } from '../service/contract.ts';

/** Of `name`: the others, and what they share with it. */
export function peersOf(
  name: string,
  channels: readonly Pick<ChannelStatus, 'name' | 'from' | 'to'>[],
  services: readonly Pick<ServiceStatus, 'name' | 'targets'>[],
): Map<string, string> {
  const shared = [
    ...channels.map(({ name: channel, from, to }) => ({ what: `channel ${channel}`, owners: [from.owner, to.owner] })),
    ...services.map(({ name: service, targets }) => ({
      what: `service ${service}`,
      owners: targets.map(({ instance }) => instance),
    })),
  ];
  return new Map(
    shared.flatMap(({ what, owners }) =>
      owners.includes(name)
        ? owners.filter((owner) => owner !== name).map((owner) => [owner, `both are of the ${what}`] as const)
        : [],
    ),
  );
}
