/**
 * The private network of a daemon: a network namespace with a bridge, in which each kernel has a port: one end of a veth pair,
 * whose other end is taken away by who runs the kernel. Nothing of it is reachable from outside, and a port carries only frames
 * with the addresses that it was given. All acts are idempotent.
 */
import type { NetworkPort } from '../driver/network-port.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { findTool, toolHint } from '../sys/tools.ts';
import { userNamespaceLimit } from './kept-namespace.ts';
import { type NetworkNamespace, NetworkTools } from './namespace.ts';
import {
  checkPort,
  gatewaySettings,
  groupFilter,
  PORT_OPTIONS,
  type PortRules,
  portFilter,
  tableOf,
  withoutTable,
} from './port-rules.ts';

const BRIDGE = 'br0';

export class HostNetwork {
  readonly #namespace: NetworkNamespace;
  readonly #tools: NetworkTools;
  readonly #gateway: string;

  /** `gateway`: the bridge's own address with its prefix length, such as 10.9.0.1/16. */
  constructor(namespace: NetworkNamespace, gateway: string) {
    this.#namespace = namespace;
    this.#gateway = gateway;
    this.#tools = new NetworkTools(namespace);
  }

  get #gatewayMac(): string {
    return macOf(this.#gateway.split('/')[0]!);
  }

  get exists(): boolean {
    return this.#namespace.exists;
  }

  /** File of its namespace. */
  get path(): string {
    return this.#namespace.path;
  }

  /**
   * Makes namespace, bridge and filter. Whether there was no such network: what was in one before is in none now.
   */
  async ensure(): Promise<boolean> {
    if (this.exists && (await this.#isComplete())) return false;
    await this.remove();
    try {
      await this.#namespace.make();
      await this.#tools.batch([
        'link set lo up',
        // Without a fixed one it would take that of a port, and change with the ports under those who know it.
        `link add ${BRIDGE} address ${this.#gatewayMac} type bridge ${BRIDGE_OPTIONS}`,
        `link set ${BRIDGE} addrgenmode none`,
        `addr add ${this.#gateway} dev ${BRIDGE}`,
        `link set ${BRIDGE} up`,
      ]);
      await this.#tools.nft(groupFilter([], this.#gateway));
      // The way out turns it on. First, for it changes others.
      await this.#set([['ip_forward', 0], ...gatewaySettings(BRIDGE)]);
      return true;
    } catch (error) {
      await this.remove();
      throw asPolykernelError(error, 'making the private network');
    }
  }

  async #set(settings: readonly [file: string, value: number][]): Promise<void> {
    const lines = settings.map(([file, value]) => `echo ${value} >/proc/sys/net/ipv4/${file}`);
    await this.#tools.shell(lines.join(' && '));
  }

  /**
   * Makes the port: both its interfaces, and what it may carry. Frames pass between it and those of its group in `groups`, each
   * a list of the peers of ports. Rejects with `internal` unless the kernel shows all of it in force.
   */
  async addPort(port: NetworkPort, groups: readonly (readonly string[])[]): Promise<void> {
    const { peer, mac, address } = port;
    await this.#removeInterfaces([peer, port.interface]);
    await this.#confine({ device: peer, mac, address }, groups, [
      `link add ${peer} type veth peer name ${port.interface}`,
      ...[peer, port.interface].map((name) => `link set ${name} addrgenmode none`),
    ]);
  }

  /** Makes an interface a port, after `making` it: while its other end is down nothing passes. */
  async #confine(
    rules: PortRules,
    groups: readonly (readonly string[])[],
    making: readonly string[] = [],
  ): Promise<void> {
    const { device, mac } = rules;
    try {
      await this.#tools.batch([
        ...making,
        `link set ${device} master ${BRIDGE}`,
        `link set ${device} type bridge_slave ${PORT_OPTIONS}`,
        `link set ${device} up`,
        neighbour('replace', rules),
        `route replace ${rules.address}/32 dev ${BRIDGE} scope link`,
      ]);
      await Promise.all([
        this.#tools.nft(`${portFilter(rules, this.#gatewayMac)}\n${groupFilter(groups, this.#gateway)}`),
        this.#tools.bridge(['fdb', 'replace', mac, 'dev', device, 'master', 'static']),
      ]);
      const [link, forwarding, filter] = await Promise.all([
        this.#tools.ip(['-j', '-d', 'link', 'show', device]),
        this.#tools.bridge(['-j', 'fdb', 'show', 'dev', device]),
        this.#tools.nft(`list table ${tableOf(device)}`),
      ]);
      checkPort(rules, {
        link: JSON.parse(link.stdout),
        forwarding: JSON.parse(forwarding.stdout),
        filter: filter.stdout,
      });
    } catch (error) {
      await this.#removeInterfaces([device], rules);
      throw asPolykernelError(error, 'confining a port of the private network');
    }
  }

  /**
   * Confines what an earlier Polykernel left as its network, with these ports in it; nothing when it is one of this kind. Of a port
   * that is held already, by its other end or as a tap, the bridge's side is confined all the same.
   */
  async takeOver(ports: readonly NetworkPort[], groups: readonly (readonly string[])[]): Promise<void> {
    if (!this.exists) return;
    await this.#set(gatewaySettings(BRIDGE));
    if (await this.#isComplete()) return;
    const there = new Set(await this.ports());
    await this.#tools.ip(['link', 'set', BRIDGE, 'type', 'bridge', ...BRIDGE_OPTIONS.split(' ')]);
    for (const { peer, interface: name, mac, address } of ports) {
      const device = [peer, name].find((each) => there.has(each));
      if (device !== undefined) await this.#confine({ device, mac, address }, groups);
    }
    await this.#tools.ip(['link', 'set', BRIDGE, 'type', 'bridge', 'fdb_flush']);
    await this.#tools.nft(groupFilter(groups, this.#gateway));
  }

  /** While nobody has its other end: who asks for its address is told so at once, and does not wait for an answer. Does not reject. */
  async closePort(port: NetworkPort): Promise<void> {
    if (!this.exists) return;
    const lines = [`route replace unreachable ${port.address}/32`, neighbour('del', port)];
    await this.#tools.batch(lines, ['-force']).catch(() => {});
  }

  /** `groups`: those that are left. */
  async removePort(port: NetworkPort, groups: readonly (readonly string[])[]): Promise<void> {
    const { peer, interface: name } = port;
    if (!this.exists) return;
    await this.#removeInterfaces([peer, name], port);
    await this.#tools.nft(`${withoutTable(tableOf(peer))}\n${groupFilter(groups, this.#gateway)}`);
  }

  /** Interfaces of ports, for finding what nobody owns any more. */
  async ports(): Promise<string[]> {
    if (!this.exists) return [];
    const { stdout } = await this.#tools.ip(['-o', 'link']);
    const names = stdout.split('\n').flatMap((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? []);
    return names.filter((name) => /^[kp]\d+$/.test(name));
  }

  /** For a port that nobody owns. */
  async removeInterface(name: string): Promise<void> {
    await this.#removeInterfaces([name]);
    await this.#tools.nft(withoutTable(tableOf(name)));
  }

  /** With one end of a pair goes the other, wherever it is. `of`: it is known no more. */
  async #removeInterfaces(names: readonly string[], of?: Addresses): Promise<void> {
    const lines = names.map((name) => `link del ${name}`);
    if (of !== undefined) lines.push(neighbour('del', of), `route del ${of.address}/32`);
    await this.#tools.batch(lines, ['-force']).catch(() => {});
  }

  /** Takes the whole network away, with every port. */
  async remove(): Promise<void> {
    await this.#namespace.remove();
  }

  port(number: number, address: string, netmask: string): NetworkPort {
    return {
      namespace: this.#namespace.path,
      interface: `k${number}`,
      peer: `p${number}`,
      mac: macOf(address),
      address,
      netmask,
    };
  }

  async #isComplete(): Promise<boolean> {
    try {
      await Promise.all([this.#tools.ip(['link', 'show', BRIDGE]), this.#tools.nft('list chain bridge pk input')]);
      return true;
    } catch {
      return false;
    }
  }
}

type Addresses = Pick<PortRules, 'mac' | 'address'>;

/**
 * Whom an address is: told rather than asked for. A question that comes before the kernel's card is up is asked again after a second
 * only, nobody can answer in its place, and entries like this are not counted against the host's most (gc_thresh3).
 */
const neighbour = (act: 'replace' | 'del', { mac, address }: Addresses): string =>
  `neigh ${act} ${address} lladdr ${mac} dev ${BRIDGE} nud permanent`;

/** It learns from no frame, neither where an address is nor who is in a group. */
const BRIDGE_OPTIONS = 'ageing_time 0 mcast_snooping 0';
/** Locally administered (bit 1 of the first byte), the rest is the IPv4 address. */
export const macOf = (address: string): string =>
  `02:50:${address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':')}`;

/** Why there can be no such network here, and what to do; null when nothing speaks against it. */
export function networkObstacle(
  network: 'private' | 'egress',
  privileged: boolean,
): { reason: string; hint: string } | null {
  for (const name of ['ip', 'bridge', 'nft', ...(privileged ? [] : ['nsenter'])])
    if (findTool(name) === undefined) return { reason: `${name} is missing`, hint: toolHint(name) };
  if (privileged) return null;
  if (network === 'egress') {
    const reason = 'a way out needs an interface and forwarding of the host, which take root';
    return { reason, hint: 'Run the daemon as root, or use --network private.' };
  }
  const limit = userNamespaceLimit();
  return limit?.sure ? limit : null;
}
