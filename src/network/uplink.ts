/**
 * The way out of a private network: a veth pair between its namespace and the host, and masquerade on both. Out means out
 * and not to the host: its own addresses are closed to what comes from inside, and nothing outside begins a connection.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { macOf } from './bridge.ts';
import { nameservers } from './nameservers.ts';
import { type NetworkNamespace, NetworkTools } from './namespace.ts';

const INSIDE = 'up0';
const FORWARDING = '/proc/sys/net/ipv4/ip_forward';
/** There while it was Polykernel that turned forwarding on. Where it lies does not outlive the kernel, nor does the setting. */
const FORWARDING_NOTE = '/run/polykernel-forwarding';
const NOTE_TEXT = 'Polykernel turned net.ipv4.ip_forward on, and turns it off with the last egress instance.\n';
/** Tables of all daemons on the host. */
const OWN_TABLE = /^table inet pk-[0-9a-f]{8}$/m;
/** Connections at once of each kernel: the host remembers each, and its table is for all. */
const FLOWS = 4096;
/**
 * New ones of each kernel, of each second and at once: those that ended are remembered for two minutes, count no more, and each has a
 * port towards where it went, of 64,512 for all kernels and the host.
 */
const NEW_FLOWS = { perSecond: 128, burst: 4096 };
/**
 * Where clouds answer a machine with what is its own, such as keys: all link-local ones (169.254.169.254 of most, 169.254.170.2,
 * 169.254.0.23), Azure's host, Alibaba's and Oracle's. IPv6 does not get out at all.
 */
const METADATA = ['169.254.0.0/16', '168.63.129.16', '100.100.100.200', '192.0.0.192'];
/**
 * Neighbours that are new in a minute, of each second and at once: the host has a place for 1,024 that do not answer, in all its
 * networks together, and without one it reaches nobody new itself.
 */
const NEW_NEIGHBOURS = { perSecond: 32, burst: 64 };
/** Packets that come no further than the host, which has a rate of errors for all it tells of: enough for traceroute. */
const LAST_HOPS = { perSecond: 20, burst: 60 };
/** Tried in this order. */
const RANGES = ['10.214.0.0/16', '172.30.0.0/16', '192.168.214.0/24'];

/** As `ip -j route` shows one. */
interface Route {
  dst: string;
  gateway?: string;
  nexthops?: readonly { gateway?: string }[];
}

export class Uplink {
  /** Of the interface and of the table on the host. */
  readonly #name: string;
  readonly #namespace: NetworkNamespace;
  readonly #gateway: string;
  readonly #host = new NetworkTools();
  readonly #inside: NetworkTools;
  /** By set of the host's table: what it was last told; none where that is not known. */
  readonly #told = new Map<string, string>();

  /** `gateway`: as that of HostNetwork. */
  constructor(name: string, namespace: NetworkNamespace, gateway: string) {
    this.#name = name;
    this.#namespace = namespace;
    this.#gateway = gateway;
    this.#inside = new NetworkTools(namespace);
  }

  /** Makes what is missing of it, and lets these addresses of the network out and no others: at least one. */
  async ensure(addresses: readonly string[]): Promise<void> {
    try {
      if (!(await this.#isComplete())) await this.#make();
    } catch (error) {
      await this.remove();
      throw asPolykernelError(error, 'making the way out of the private network');
    }
    // Of many routes a host may have a million.
    const [counted, routes] = await Promise.all([this.#counted(), this.#routes('default')]);
    const gone = counted.filter((address) => !addresses.includes(address));
    // Or who gets the address next could begin none while those of the one before last.
    const forget = gone.length === 0 ? '' : `\ndelete element ip pk flows { ${gone.join(', ')} }`;
    await this.#inside.nft(`flush set ip pk egress\nadd element ip pk egress { ${addresses.join(', ')} }${forget}`);
    // Some clouds' name servers are at such an address: those the host itself asks are open for that.
    await this.#tell('resolvers', metadataResolvers(nameservers()));
    await this.#tell('gateways', gatewaysOf(routes));
  }

  /** Takes it away, also what is left of one whose namespace is gone. */
  async remove(): Promise<void> {
    if (existsSync(`/sys/class/net/${this.#name}`)) await this.#host.ip(['link', 'del', this.#name]).catch(() => {});
    await this.#host.nft(`delete table inet ${this.#name}`).catch(() => {});
    if (this.#namespace.exists) await this.#inside.nft('delete table ip pk').catch(() => {});
    if (!existsSync(FORWARDING_NOTE) || OWN_TABLE.test(await this.#tables())) return;
    writeFileSync(FORWARDING, '0');
    rmSync(FORWARDING_NOTE, { force: true });
  }

  async #tell(set: string, addresses: readonly string[]): Promise<void> {
    if (addresses.join() === this.#told.get(set)) return;
    const added = addresses.length === 0 ? '' : `add element inet ${this.#name} ${set} { ${addresses.join(', ')} }`;
    await this.#host.nft(`flush set inet ${this.#name} ${set}\n${added}`);
    this.#told.set(set, addresses.join());
  }

  async #make(): Promise<void> {
    await this.remove();
    this.#told.clear();
    const pair = freePair(await this.#taken(), Number.parseInt(this.#name.slice(-8), 16));
    const peer = `link add ${this.#name} type veth peer name ${INSIDE}`;
    await this.#host.batch([`${peer} netns ${this.#name}`, `link set ${this.#name} addrgenmode none`]);
    const forwards = readFileSync(FORWARDING, 'latin1').trim() === '1';
    if (!forwards) writeFileSync(FORWARDING_NOTE, NOTE_TEXT);
    // The filters are there before anything can pass.
    await this.#host.nft(hostFilter(this.#name, pair.inside, existsSync(FORWARDING_NOTE)));
    await this.#inside.nft(insideFilter(this.#gateway));
    await this.#host.batch([`addr add ${pair.outside}/30 dev ${this.#name}`, `link set ${this.#name} up`]);
    await this.#inside.batch([
      `link set ${INSIDE} addrgenmode none`,
      `addr add ${pair.inside}/30 dev ${INSIDE}`,
      `link set ${INSIDE} up`,
      `route add default via ${pair.outside}`,
    ]);
    await this.#inside.shell(`echo 1 >${FORWARDING}`);
    if (!forwards) writeFileSync(FORWARDING, '1');
  }

  async #isComplete(): Promise<boolean> {
    if (!existsSync(`/sys/class/net/${this.#name}`) || readFileSync(FORWARDING, 'latin1').trim() !== '1') return false;
    try {
      // One that an earlier Polykernel made has no such chain or set.
      await this.#host.nft(`list chain inet ${this.#name} near`);
      await this.#inside.nft('list set ip pk fresh');
      const { stdout } = await this.#inside.ip(['route', 'show', 'default']);
      return stdout.includes(`dev ${INSIDE}`);
    } catch {
      return false;
    }
  }

  /** Addresses whose connections are counted. */
  async #counted(): Promise<string[]> {
    const { stdout } = await this.#inside.nft('list set ip pk flows');
    return [...new Set(stdout.match(/\b\d+\.\d+\.\d+\.\d+\b/g) ?? [])];
  }

  async #tables(): Promise<string> {
    return (await this.#host.nft('list tables')).stdout;
  }

  /** Where the host sends packets already, in CIDR form. */
  async #taken(): Promise<string[]> {
    const routes = (await this.#routes()).map(({ dst }) => dst);
    return [...routes.filter((route) => route !== 'default'), ...nameservers()];
  }

  /** Of the host, IPv4; `only`: to what. */
  async #routes(...only: readonly string[]): Promise<Route[]> {
    return JSON.parse((await this.#host.ip(['-j', '-4', 'route', 'show', 'table', 'all', ...only])).stdout);
  }
}

/**
 * Forwards what may get out, under one address; nothing from outside reaches the bridge or a kernel unasked. Connections are
 * remembered of what gets out alone, and only by packets that reach the host's table too: so neither is filled by what is not
 * counted here, nor forgotten here while the host still knows it. The gateway's own hardware address tells what is routed from
 * what is bridged, which is seen here where br_netfilter is loaded.
 */
const insideFilter = (network: string, address = network.split('/')[0]!): string => `
table ip pk {
  set egress { type ipv4_addr; }
  set flows { type ipv4_addr; size 65535; flags dynamic; }
  set fresh { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }
  chain remembered {
    type filter hook prerouting priority raw; policy accept;
    iifname "${INSIDE}" accept
    ether daddr != ${macOf(address)} notrack accept
    ip saddr != @egress notrack accept
    ip daddr ${network} notrack accept
    ip ttl < 2 notrack accept
    ip ttl 2 limit rate over ${LAST_HOPS.perSecond}/second burst ${LAST_HOPS.burst} packets drop
    ip hdrlength > 5 drop
  }
  chain remembered_own {
    type filter hook output priority raw; policy accept;
    oifname != "${INSIDE}" notrack
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "${INSIDE}" ct state established,related accept
    iifname "${INSIDE}" drop
    iifname != "lo" ip daddr != ${address} drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "${INSIDE}" ct state established,related accept
    iifname "${INSIDE}" drop
    oifname "${INSIDE}" ct state invalid,untracked drop
    oifname "${INSIDE}" ip saddr @egress ct state new update @fresh { ip saddr limit rate over ${NEW_FLOWS.perSecond}/second burst ${NEW_FLOWS.burst} packets } drop
    oifname "${INSIDE}" ip saddr @egress ct state new add @flows { ip saddr ct count over ${FLOWS} } drop
    oifname "${INSIDE}" ip saddr @egress accept
    oifname "${INSIDE}" drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "${INSIDE}" masquerade
  }
}`;

/** What a bridge passes on is not forwarding, but is seen here where br_netfilter is loaded. */
const NOBODY_ELSE = `meta iifkind "bridge" meta oifkind "bridge" accept
    meta nfproto ipv4 iifname != "pk-*" oifname != "pk-*" drop`;

/**
 * `alone`: the host forwards for our sake only, and is to become nobody else's router. What is closed is so by the address that a
 * packet comes with: the host may lead its own (published ports of containers) and those of metadata (its proxies) elsewhere.
 * `near`: machines of the host's own networks, each of which takes a place in its table of neighbours, whether it is there or not.
 */
const hostFilter = (name: string, inside: string, alone: boolean): string => `
table inet ${name} {
  set resolvers { type ipv4_addr; }
  set gateways { type ipv4_addr; }
  set neighbours { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }
  chain closed {
    type filter hook prerouting priority raw; policy accept;
    iifname != "${name}" accept
    ip daddr @resolvers meta l4proto { tcp, udp } th dport 53 accept
    ip daddr { ${METADATA.join(', ')} } drop
    fib daddr type != unicast drop
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "${name}" drop
  }
  chain near {
    ct state established,related accept
    meta oiftype != ether accept
    rt ip nexthop @gateways accept
    rt ip nexthop @neighbours update @neighbours { rt ip nexthop } accept
    limit rate over ${NEW_NEIGHBOURS.perSecond}/second burst ${NEW_NEIGHBOURS.burst} packets drop
    add @neighbours { rt ip nexthop } accept
    drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "${name}" ip saddr ${inside} goto near
    iifname "${name}" drop
    oifname "${name}" ct state established,related accept
    oifname "${name}" drop
    ${alone ? NOBODY_ELSE : ''}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${inside} masquerade
  }
}`;

/** Through which routes lead. */
export const gatewaysOf = (routes: readonly Route[]): string[] => {
  const all = routes.flatMap(({ gateway, nexthops = [] }) => [gateway, ...nexthops.map((hop) => hop.gateway)]);
  return [...new Set(all.filter((gateway) => gateway !== undefined))].sort();
};

/** Of the name servers, those that are where metadata is. */
export function metadataResolvers(servers: readonly string[]): string[] {
  const networks = METADATA.map(parseNetwork);
  const isThere = (server: string) => {
    const { first } = parseNetwork(server);
    return networks.some((network) => network.first <= first && first <= network.last);
  };
  return [...new Set(servers)].filter(isThere);
}

/**
 * The two addresses of a /30 that overlaps none of the networks `taken` (CIDR, or addresses). `seed` varies where the search
 * begins, so that daemons do not meet. Throws `unavailable` when there is none.
 */
export function freePair(taken: readonly string[], seed: number): { outside: string; inside: string } {
  const networks = taken.map(parseNetwork);
  for (const range of RANGES) {
    const { first, last } = parseNetwork(range);
    const count = (last - first + 1) / 4;
    for (let index = 0; index < count; index++) {
      const base = first + 4 * ((seed + index) % count);
      if (!networks.some((each) => each.first <= base + 3 && base <= each.last))
        return { outside: formatAddress(base + 1), inside: formatAddress(base + 2) };
    }
  }
  throw new PolykernelError(
    'unavailable',
    `no address is free for the way out: the host has routes to all of ${RANGES.join(', ')}`,
    {
      field: 'network',
      value: 'egress',
      hint: 'Remove a route of the host to one of these networks (ip route), or use --network private.',
    },
  );
}

/** The first and the last address of a network, as numbers. */
function parseNetwork(text: string): { first: number; last: number } {
  const [address = '', length = '32'] = text.split('/');
  const size = 2 ** (32 - Number(length));
  const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const first = Math.floor(number / size) * size;
  return { first, last: first + size - 1 };
}

const formatAddress = (number: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
