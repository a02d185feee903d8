/**
 * The private network of a daemon: a network namespace with a bridge, in which each kernel has a port. Nothing of it is
 * reachable from outside, and a port carries only frames with the addresses that it was given. All acts are idempotent.
 */
import { accessSync, constants } from 'node:fs';
import { asPolykernelError } from '../sys/errors.ts';
import { findTool, toolHint } from '../sys/tools.ts';
import { userNamespaceLimit } from './kept-namespace.ts';
import { type NetworkNamespace, NetworkTools } from './namespace.ts';

const BRIDGE = 'br0';

/** Where a kernel is joined to the network. */
export interface NetworkPort {
  /** File of the network namespace. */
  namespace: string;
  bridge: string;
  /** Of the kernel's end there, at most 15 characters; `peer`: the bridge's port, where that is another interface. */
  interface: string;
  peer: string;
  /** Of the kernel's network card. */
  mac: string;
  /** IPv4 in dotted form. */
  address: string;
  netmask: string;
}

export class HostNetwork {
  readonly #namespace: NetworkNamespace;
  readonly #tools: NetworkTools;

  constructor(namespace: NetworkNamespace) {
    this.#namespace = namespace;
    this.#tools = new NetworkTools(namespace);
  }

  get exists(): boolean {
    return this.#namespace.exists;
  }

  /** File of its namespace. */
  get path(): string {
    return this.#namespace.path;
  }

  /**
   * Makes namespace, bridge and filter. `gateway`: the bridge's own address with its prefix length, such as 10.9.0.1/16. Whether
   * there was no such network: what was in one before is in none now.
   */
  async ensure(gateway: string): Promise<boolean> {
    if (this.exists && (await this.#isComplete())) return false;
    await this.remove();
    try {
      await this.#namespace.make();
      await this.#tools.batch([
        'link set lo up',
        // Without a fixed one it would take that of a port, and change with the ports under those who know it.
        `link add ${BRIDGE} address ${macOf(gateway.split('/')[0]!)} type bridge`,
        `link set ${BRIDGE} addrgenmode none`,
        `addr add ${gateway} dev ${BRIDGE}`,
        `link set ${BRIDGE} up`,
      ]);
      await this.#tools.nft(FILTER);
      return true;
    } catch (error) {
      await this.remove();
      throw asPolykernelError(error, 'making the private network');
    }
  }

  /** Lets frames with these addresses in from the port; makes its interfaces when `veth`, which otherwise come with the VMM. */
  async addPort(port: NetworkPort, veth: boolean): Promise<void> {
    await this.removePort(port);
    if (veth) {
      await this.#tools.batch([
        `link add ${port.peer} type veth peer name ${port.interface}`,
        ...[port.peer, port.interface].map((name) => `link set ${name} addrgenmode none`),
        `link set ${port.peer} master ${BRIDGE}`,
        ...[port.peer, port.interface].map((name) => `link set ${name} up`),
      ]);
    }
    await this.#tools.nft(`add element bridge pk sources { ${element(port)} }`);
  }

  async removePort(port: NetworkPort): Promise<void> {
    if (!this.exists) return;
    await this.#tools.nft(`delete element bridge pk sources { ${element(port)} }`).catch(() => {});
    for (const name of new Set([port.peer, port.interface])) await this.removeInterface(name);
  }

  /** Interfaces of ports, for finding what nobody owns any more. */
  async ports(): Promise<string[]> {
    if (!this.exists) return [];
    const { stdout } = await this.#tools.ip(['-o', 'link']);
    const names = stdout.split('\n').flatMap((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? []);
    return names.filter((name) => /^[kp]\d+$/.test(name));
  }

  async removeInterface(name: string): Promise<void> {
    await this.#tools.ip(['link', 'del', name]).catch(() => {});
  }

  /** Takes the whole network away, with every port. */
  async remove(): Promise<void> {
    await this.#namespace.remove();
  }

  port(number: number, address: string, netmask: string): NetworkPort {
    return {
      namespace: this.#namespace.path,
      bridge: BRIDGE,
      interface: `k${number}`,
      peer: `p${number}`,
      mac: macOf(address),
      address,
      netmask,
    };
  }

  async #isComplete(): Promise<boolean> {
    try {
      await this.#tools.ip(['link', 'show', BRIDGE]);
      await this.#tools.nft('list set bridge pk sources');
      return true;
    } catch {
      return false;
    }
  }
}

/** Frames from ports: those with a port's own addresses pass, IPv4 and ARP alone. */
const FILTER = `
table bridge pk {
  set sources { type ifname . ether_addr . ipv4_addr; }
  chain in {
    type filter hook prerouting priority 0; policy drop;
    ether type ip iifname . ether saddr . ip saddr @sources accept
    ether type arp iifname . ether saddr . arp saddr ip @sources accept
  }
}`;

/** Locally administered (bit 1 of the first byte), the rest is the IPv4 address. */
const macOf = (address: string): string =>
  `02:50:${address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':')}`;

/** A tap is the bridge's port itself; the end of a veth pair has its peer there. */
const element = ({ peer, interface: name, mac, address }: NetworkPort): string =>
  [...new Set([peer, name])].map((port) => `"${port}" . ${mac} . ${address}`).join(', ');

/** Why there can be no such network here, and what to do; null when nothing speaks against it. */
export function networkObstacle(
  network: 'private' | 'egress',
  uid = process.getuid?.() ?? -1,
): { reason: string; hint: string } | null {
  for (const name of ['ip', 'nft', ...(uid === 0 ? [] : ['nsenter'])])
    if (findTool(name) === undefined) return { reason: `${name} is missing`, hint: toolHint(name) };
  if (uid === 0) return null;
  if (network === 'egress') {
    const reason = 'a way out needs an interface and forwarding of the host, which take root';
    return { reason, hint: 'Run the daemon as root, or use --network private.' };
  }
  const limit = userNamespaceLimit();
  return limit?.sure ? limit : null;
}

/** Why a VMM could get no tap in a network; null when nothing speaks against it. */
export function tapObstacle(device = '/dev/net/tun'): { reason: string; hint: string } | null {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      return {
        reason: `the network card of QEMU needs ${device}, and there is none`,
        hint: 'As root: modprobe tun. Or use --driver uml.',
      };
    return {
      reason: `the network card of QEMU needs ${device}, which this user may not open`,
      hint: `As root: chmod 0666 ${device}. Or use --driver uml.`,
    };
  }
}
