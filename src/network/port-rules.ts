/**
 * What one port of the bridge lets in, and who hears whom. A port's own filter sees every frame of it before the bridge does,
 * those that are meant for bridges as well, which else would teach the bridge past any filter of its family.
 */
import { PolykernelError } from '../sys/errors.ts';

/** The bridge's port for one kernel. */
export interface PortRules {
  /** The interface that is the bridge's port. */
  device: string;
  /** Of the kernel's network card. */
  mac: string;
  /** IPv4 in dotted form. */
  address: string;
}

/** As the kernel shows it: the options of `ip -j -d link` and the entries of `bridge -j fdb`. */
export interface PortFacts {
  link: unknown;
  forwarding: unknown;
  /** What `nft list table` shows of the port's own filter. */
  filter: string;
}

/** What a bridge's port does not do: frames go where the static entries say, and ARP's broadcasts to all. */
export const PORT_OPTIONS = 'learning off flood off mcast_flood off bcast_flood on mcast_to_unicast off hairpin off';
const PORT_FACTS = {
  learning: false,
  flood: false,
  mcast_flood: false,
  bcast_flood: true,
  mcast_to_unicast: false,
  hairpin: false,
};

export const tableOf = (device: string): string => `netdev pk-${device}`;

/**
 * Replaces the filter of a port in one step: with its own addresses, IPv4 to one receiver and ARP pass. The interface must be there.
 * Errors that it sends to `gateway`, a hardware address, are about what was sent to itself: of others' connections it could say
 * that their packets are too large, or reach nobody. No honest one is in fragments, in which what it is about could be hidden.
 * Fragments to there come at a rate: until all of a datagram has come they wait where those of all wait (REASSEMBLY).
 */
export function portFilter({ device, mac, address }: PortRules, gateway: string): string {
  const errors = `ether daddr ${gateway} ether type ip ${ICMP_ERRORS}`;
  return `
${withoutTable(tableOf(device))}
table ${tableOf(device)} {
  chain in {
    type filter hook ingress device "${device}" priority 0; policy drop;
    ether saddr != ${mac} drop
    ${errors} ip frag-off & 0x2000 != 0 drop
    ${errors} ${ABOUT} != 0x${hexOf(address)} drop
    ether daddr ${gateway} ip frag-off & 0x3fff != 0 limit rate over ${FRAGMENTS}/second burst ${FRAGMENTS / 4} packets drop
    ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether type ip ip saddr ${address} accept
    ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ${ownArp(mac, address)}
    ether daddr ff:ff:ff:ff:ff:ff ${ownArp(mac, address)}
  }
}`;
}

/** Of each port: 48 Mbit/s. */
const FRAGMENTS = 4000;
/**
 * How long and with how many bytes fragments wait at the gateway, settings of its namespace: those of five ports that send nothing else
 * have room, 2.5 KB each. They come from this machine, so that what is not whole after a second never is.
 */
const REASSEMBLY = { ipfrag_time: 1, ipfrag_high_thresh: 64 * 2 ** 20 };
/**
 * What a gateway of ours does not do, whatever the host does: a new namespace has the host's settings. Routers and hosts of
 * containers have some of these on, by which a guest could be routed past the filters of bridged frames. What a host says in its own log of
 * packets for impossible addresses has one rate for all that it says of its networks.
 */
const NOT_DONE = [
  'accept_source_route',
  'route_localnet',
  'proxy_arp',
  'proxy_arp_pvlan',
  'accept_redirects',
  'send_redirects',
  'log_martians',
];

/** Of the network's namespace, once `bridge` is there: files below /proc/sys/net/ipv4. */
export const gatewaySettings = (bridge: string): [file: string, value: number][] => [
  ...Object.entries(REASSEMBLY),
  // Errors to a guest are its own matter: at a rate, that is one for all and before Linux 6.12 for the host too, they would keep others' back.
  ['icmp_ratemask', 0],
  ...['all', 'default', bridge].flatMap((device) =>
    NOT_DONE.map((name): [string, number] => [`conf/${device}/${name}`, 0]),
  ),
];
const ICMP_ERRORS = 'icmp type { destination-unreachable, source-quench, redirect, time-exceeded, parameter-problem }';
/** Whom the packet was for that an error quotes: behind 8 bytes of ICMP, at 16 of IPv4. */
const ABOUT = '@th,192,32';

const hexOf = (address: string): string =>
  address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('');

const ownArp = (mac: string, address: string): string =>
  'ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp operation { request, reply } ' +
  `arp saddr ether ${mac} arp saddr ip ${address} accept`;

/**
 * Replaces what passes between ports in one step: frames between the ports of a group and no others. What one sends to the
 * gateway's hardware address for another would be routed back, past that: it is dropped. `gateway`: with its prefix length.
 */
export function groupFilter(groups: readonly (readonly string[])[], gateway: string): string {
  const quoted = groups.map((devices) => devices.map((device) => `"${device}"`));
  const jumps = quoted.flatMap((devices, index) => devices.map((device) => `${device} : jump group${index}`));
  const chains = quoted.map(
    (devices, index) => `
  set ports${index} { type ifname; elements = { ${devices.join(', ')} }; }
  chain group${index} {
    oifname @ports${index} accept
  }`,
  );
  return `
${withoutTable('bridge pk')}
table bridge pk {${chains.join('')}
  map groups { type ifname : verdict; ${jumps.length > 0 ? `elements = { ${jumps.join(', ')} };` : ''} }
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname vmap @groups
  }
  chain input {
    type filter hook input priority 0; policy accept;
    ip daddr ${gateway} ip daddr != ${gateway.split('/')[0]} drop
  }
}`;
}

/** Ends a table whether it is there or not. */
export const withoutTable = (table: string): string => `add table ${table}\ndelete table ${table}`;

/** Throws `internal` naming what is not in force. */
export function checkPort({ device, mac, address }: PortRules, { link, forwarding, filter }: PortFacts): void {
  const missing: string[] = [];
  const [shown] = link as { linkinfo?: { info_slave_data?: Record<string, unknown> } }[];
  const options = shown?.linkinfo?.info_slave_data ?? {};
  for (const [name, wanted] of Object.entries(PORT_FACTS))
    if (options[name] !== wanted) missing.push(`${name} is ${JSON.stringify(options[name])}`);
  const entries = forwarding as { mac?: string; state?: string; master?: string }[];
  if (!entries.some((entry) => entry.mac === mac && entry.state === 'static' && entry.master !== undefined))
    missing.push(`${mac} has no static entry`);
  const hook = new RegExp(`hook ingress devices? (?:= \\{ )?"?${device}"?(?: \\})? priority \\S+; policy drop;`);
  if (!hook.test(filter)) missing.push('there is no filter');
  const accepts = filter.split('\n').filter((line) => line.includes(' accept'));
  if (
    accepts.length !== 3 ||
    !accepts.every((line) => line.includes(`saddr ip ${address}`) || line.includes(`ip saddr ${address}`))
  )
    missing.push('the filter lets other frames pass');
  if (missing.length === 0) return;
  throw new PolykernelError('internal', `the network port ${device} is not confined: ${missing.join(', ')}`, {
    field: 'network',
  });
}
