/** The private network of a daemon: addresses, names and published ports of its instances. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Journal } from '../core/journal.ts';
import { Mutex } from '../core/mutex.ts';
import type { Capabilities, Kernel, LaunchSpec } from '../driver/index.ts';
import type { NetworkPort } from '../driver/network-port.ts';
import type { InstanceRecord, InstanceSpec, PublishedPort } from '../instance/contract.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { isOnVolume } from '../sys/volume-text.ts';
import { addressOf, BRIDGE_NUMBER, GATEWAY, LAST_NUMBER, NETMASK } from './addresses.ts';
import { HostNetwork, networkObstacle } from './bridge.ts';
import type { Forwards } from './forwards.ts';
import { checkPublished, HostPorts } from './host-ports.ts';
import { KeptNamespace } from './kept-namespace.ts';
import { removeLostNetworks } from './lost-networks.ts';
import { HOSTS_FILE, NameTeller } from './name-teller.ts';
import { resolvConf } from './nameservers.ts';
import { NamedNamespace, networkName } from './namespace.ts';
import { checkNames, hostsFile, type Named } from './network-names.ts';
import { NetworkNotes } from './network-notes.ts';
import { Uplink } from './uplink.ts';

const KEEPER_FILE = 'network.keeper';

type Member = Pick<InstanceRecord, 'id' | 'spec' | 'networkNumber' | 'launch'>;

export interface NetworkOptions {
  /** State directory: names the namespace. */
  home: string;
  /** It is root's. */
  privileged: boolean;
  forwards: Forwards;
  /** All instances there are. */
  members(): readonly Member[];
  journal: Journal;
  /** Whether its kernel runs, and has not answered this daemon yet; by name. */
  isTakingOver(instance: string): boolean;
  /** Told of a running one that is in no network any more. */
  lost(member: Member): void;
  /** For tests: where it is noted whose networks there are. */
  notes?: NetworkNotes;
}

/**
 * INVARIANTS
 * - The namespace exists while an instance has a number in it; whoever takes the last away removes it.
 * - The way out exists while one of them has egress, and lets no other's address pass.
 * - A port is made before the kernel that has it starts, and lets only frames with its own addresses in.
 * - Frames and names pass between instances of the same tenant alone; those without one are one tenant.
 */
export class Network {
  readonly #home: string;
  readonly #notes: NetworkNotes;
  readonly #host: HostNetwork;
  /** null without root: there is none. */
  readonly #uplink: Uplink | null;
  readonly #forwards: Forwards;
  readonly #all: () => readonly Member[];
  /** Ids of those that have left, and are still being removed. */
  readonly #gone = new Set<string>();
  readonly #privileged: boolean;
  readonly #lost: (member: Member) => void;
  readonly #isTakingOver: (instance: string) => boolean;
  /** Ids of those whose kernel runs, and is in no network any more. */
  readonly #cut = new Set<string>();
  /** Of those that are in the network. */
  readonly #kernels = new Map<string, Kernel>();
  /** By id: the names an instance was started with. */
  readonly #told = new Map<string, string>();
  /** By id: how often a kernel of it was given its port. */
  readonly #joined = new Map<string, number>();
  readonly #teller: NameTeller;
  readonly #journal: Journal;
  readonly #mutex = new Mutex();
  readonly #ports = new HostPorts();
  readonly #listeners = new Set<() => void>();
  /** The last one given. */
  #lastNumber: number | undefined;

  constructor(options: NetworkOptions) {
    const { home, privileged, forwards, members, journal, lost, notes = new NetworkNotes() } = options;
    const name = networkName(home);
    const namespace = privileged ? new NamedNamespace(name) : new KeptNamespace(join(home, KEEPER_FILE));
    this.#home = home;
    this.#notes = notes;
    this.#host = new HostNetwork(namespace, GATEWAY);
    this.#uplink = privileged ? new Uplink(name, namespace, GATEWAY) : null;
    this.#forwards = forwards;
    this.#privileged = privileged;
    this.#all = members;
    this.#journal = journal;
    this.#teller = new NameTeller((text, error) => journal.error(text, error));
    this.#lost = lost;
    this.#isTakingOver = options.isTakingOver;
  }

  /** As HostPorts.choose(). */
  choosePorts(instance: Pick<Member, 'id' | 'spec'>, before: readonly PublishedPort[] = []): Promise<void> {
    return this.#ports.choose(instance, before, () => this.#members());
  }

  /** What the instance publishes, now that its ports are chosen. */
  portsOf(instance: Pick<Member, 'id' | 'spec'>): readonly PublishedPort[] {
    return this.#ports.of(instance);
  }

  /** An address for a new instance. Throws `unavailable` where there can be no network, `conflict` for a port or a name that is taken. */
  take(spec: Pick<InstanceSpec, 'network' | 'publish' | 'name' | 'hostname' | 'tenant'>): number {
    this.#check(spec, this.#members());
    checkNames(spec, this.#named(), hostname());
    return this.#nextNumber();
  }

  /** The address and the ports of one that has another spec now; its names were looked at with all others'. Throws as take(). */
  change(
    record: Member,
    before: InstanceSpec,
    others: readonly Member[],
  ): Pick<InstanceRecord, 'spec' | 'networkNumber'> {
    const spec = { ...record.spec, publish: this.portsOf(record) };
    if (spec.network === 'none') return { spec, networkNumber: null };
    if (spec.network !== before.network || !isDeepStrictEqual(spec.publish, before.publish))
      this.#check(
        spec,
        others.filter(({ id }) => !this.#gone.has(id)),
      );
    return { spec, networkNumber: record.networkNumber ?? this.#nextNumber() };
  }

  /** One that has another spec than `before` keeps no address, way out or published port that is not in it. */
  async changed({ spec, networkNumber }: Member, before: Member): Promise<void> {
    const hadWayOut = before.spec.network === 'egress' && spec.network !== 'egress';
    const isElsewhere = networkNumber !== before.networkNumber;
    const ports = isElsewhere || !isDeepStrictEqual(spec.publish, before.spec.publish) ? before.spec.publish : [];
    await this.#mutex.run(async () => {
      for (const port of ports) await this.#forwards.end(port);
      if (isElsewhere && before.networkNumber !== null) await this.#removePort(before.networkNumber, hadWayOut);
      else if (hadWayOut) await this.#keepUplink();
    });
    this.#changed();
    this.tellNames();
  }

  /** Throws `unavailable`, `invalid` and `conflict`, as take() does. */
  #check({ network, publish }: Pick<InstanceSpec, 'network' | 'publish'>, others: readonly Member[]): void {
    const obstacle = networkObstacle(network === 'egress' ? 'egress' : 'private', this.#privileged);
    if (obstacle !== null) {
      const { reason, hint } = obstacle;
      const fields = { field: 'network', value: network, hint };
      throw new PolykernelError('unavailable', `the network ${network} cannot be had here: ${reason}`, fields);
    }
    checkPublished(publish, others);
  }

  /** As late as can be the one of a kernel that is gone: others may still know it by that. Throws `conflict`. */
  #nextNumber(): number {
    const taken = new Set(this.#members().map(({ networkNumber }) => networkNumber));
    const count = LAST_NUMBER - BRIDGE_NUMBER;
    this.#lastNumber ??= Math.max(BRIDGE_NUMBER, ...[...taken].filter((number) => number !== null));
    for (let step = 0; step < count; step++) {
      const number = BRIDGE_NUMBER + 1 + ((this.#lastNumber - BRIDGE_NUMBER + step) % count);
      if (taken.has(number)) continue;
      this.#lastNumber = number;
      return number;
    }
    throw new PolykernelError('conflict', 'all addresses of the private network are in use', { field: 'network' });
  }

  /**
   * What would be wrong with the names of these, were they all there in place of those of the same names and of the instances
   * that `isReplaced`: the error by name.
   */
  nameProblems(
    specs: readonly InstanceSpec[],
    isReplaced: (spec: InstanceSpec) => boolean,
  ): Map<string, PolykernelError> {
    const names = new Set(specs.map(({ name }) => name));
    const planned = specs.map((spec) => ({ spec, address: spec.network === 'none' ? null : 'planned' }));
    const stay = this.#named().filter(({ spec }) => !names.has(spec.name) && !isReplaced(spec));
    const problems = new Map<string, PolykernelError>();
    for (const { spec, address } of planned) {
      try {
        if (address !== null) checkNames(spec, [...planned, ...stay], hostname());
      } catch (error) {
        problems.set(spec.name, asPolykernelError(error, `naming ${spec.name}`));
      }
    }
    return problems;
  }

  /** Before a start: makes the port of an instance and publishes its ports. null when it has no network. */
  async join(record: InstanceRecord, { networkPort }: Capabilities): Promise<LaunchSpec['network']> {
    if (record.networkNumber === null) return null;
    const { networkNumber } = record;
    return await this.#mutex.run(async () => {
      if (this.#privileged) this.#notes.write(networkName(this.#home), this.#home);
      const isNew = await this.#host.ensure();
      if (isNew) {
        this.#lose(() => true);
        await this.#forwards.endAllBut([]);
      }
      const port = this.#port(networkNumber);
      const out = record.spec.network === 'egress';
      if (out) await this.#uplink?.ensure(this.#egress());
      this.#cut.delete(record.id);
      this.#joined.set(record.id, (this.#joined.get(record.id) ?? 0) + 1);
      if (networkPort !== 'none') await this.#host.addPort(port, this.#groups());
      const { publish } = record.spec;
      for (const each of publish)
        if (!this.#forwards.lives(each, port.address))
          await this.#forwards.start(each, publish, port.namespace, port.address);
      const { volumes } = record.spec;
      const ownResolvConf = isOnVolume(volumes, '/etc/resolv.conf') ? null : resolvConf();
      const wayOut = out ? { gateway: addressOf(BRIDGE_NUMBER), resolvConf: ownResolvConf } : null;
      const hosts = hostsFile(this.#named(), record.spec.tenant);
      this.#told.set(record.id, hosts);
      return { port, hosts: isOnVolume(volumes, HOSTS_FILE) ? null : hosts, wayOut };
    });
  }

  /** A kernel runs: it is told of names that come and go. */
  kernelUp(name: string, kernel: Kernel): void {
    const member = this.#members().find(({ spec }) => spec.name === name);
    if (member?.networkNumber == null || this.#cut.has(member.id)) return;
    this.#kernels.set(name, kernel);
    this.#changed();
    // While it booted others may have come or gone.
    const hosts = hostsFile(this.#named(), member.spec.tenant);
    if (this.#told.get(member.id) !== hosts) this.#tell(kernel, member.spec, hosts);
    this.#told.delete(member.id);
    void kernel.exited.then(() => {
      if (this.#kernels.get(name) !== kernel) return;
      this.#kernels.delete(name);
      for (const port of member.spec.publish) this.#forwards.reset(port);
      this.#changed();
    });
  }

  /** The kernel of an instance has ended, or has never got ready: its port is closed, if no other one has been given it meanwhile. */
  async ended(id: string): Promise<void> {
    // It may have ended before it answered.
    this.#changed();
    const joined = this.#joined.get(id);
    await this.#mutex.run(async () => {
      const member = this.#members().find((each) => each.id === id);
      if (member?.networkNumber != null && this.#joined.get(id) === joined)
        await this.#host.closePort(this.#port(member.networkNumber));
    });
  }

  /** Tells all kernels the names there are now. */
  tellNames(): void {
    const named = this.#named();
    for (const { spec } of this.#members()) {
      const kernel = this.#kernels.get(spec.name);
      if (kernel !== undefined) this.#tell(kernel, spec, hostsFile(named, spec.tenant));
    }
  }

  #tell(kernel: Kernel, { volumes }: Pick<InstanceSpec, 'volumes'>, hosts: string): void {
    if (!isOnVolume(volumes, HOSTS_FILE)) this.#teller.tell(kernel, Buffer.from(hosts));
  }

  /** After an instance is gone: takes its port and published ports away, and with the last the whole network. */
  async leave({ id, networkNumber, spec }: Member): Promise<void> {
    this.#ports.forget(id);
    if (networkNumber === null) return;
    await this.#mutex.run(async () => {
      const known = new Set(this.#all().map((each) => each.id));
      for (const gone of this.#gone) if (!known.has(gone)) this.#gone.delete(gone);
      // Nobody is to meet its port or its name from here on, also while the rest of it is removed.
      this.#gone.add(id);
      this.#told.delete(id);
      this.#joined.delete(id);
      this.#cut.delete(id);
      for (const port of spec.publish) await this.#forwards.end(port);
      await this.#removePort(networkNumber, spec.network === 'egress');
    });
    this.#changed();
    this.tellNames();
  }

  /** Of a number that nobody has. With the last one the whole network goes. */
  async #removePort(number: number, hadWayOut: boolean): Promise<void> {
    const isFree = !this.#members().some((each) => each.networkNumber === number);
    if (isFree) await this.#host.removePort(this.#port(number), this.#groups());
    if (hadWayOut) await this.#keepUplink();
    if (!this.#members().some((each) => each.networkNumber !== null)) await this.#remove();
  }

  /** Where a running kernel can be reached from the namespace; null when it cannot. */
  address(name: string): string | null {
    const member = this.#members().find(({ spec }) => spec.name === name);
    return member?.networkNumber == null || !this.#isIn(member) ? null : addressOf(member.networkNumber);
  }

  /** Why no HAProxy can reach what is in it; null where one can. */
  obstacle(): string | null {
    return this.#privileged ? null : 'HAProxy can enter the network only as root';
  }

  /** File of the network's namespace; null while there is none. */
  namespace(): string | null {
    return this.#host.exists ? this.#host.path : null;
  }

  /** Calls `listener` when an endpoint has come or gone. Returns what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** After a restart of the daemon, with all instances known, of which some are booted meanwhile: ends what belongs to none. */
  async recover(): Promise<void> {
    if (this.#privileged) await removeLostNetworks(this.#notes, GATEWAY, this.#journal);
    await this.#mutex.run(() => this.#recover());
  }

  async #recover(): Promise<void> {
    const members = this.#members().filter(({ networkNumber }) => networkNumber !== null);
    await this.#forwards.endAllBut(this.#host.exists ? members.flatMap(({ spec }) => spec.publish) : []);
    if (members.length === 0) {
      await this.#uplink?.remove();
      return await this.#remove();
    }
    this.#lose(({ launch, networkNumber }) => {
      const { namespace } = this.#port(networkNumber!);
      return !this.#host.exists || launch?.network?.port.namespace !== namespace;
    });
    const ports = members.map(({ networkNumber }) => this.#port(networkNumber!));
    try {
      await this.#host.takeOver(ports, this.#groups());
    } catch (error) {
      this.#journal.error('taking over the network of an earlier Polykernel', error);
      await this.#host.remove();
      this.#lose(() => true);
    }
    const wanted = new Set(members.flatMap(({ networkNumber }) => [`k${networkNumber}`, `p${networkNumber}`]));
    const there = new Set(await this.#host.ports());
    for (const name of there) if (!wanted.has(name)) await this.#host.removeInterface(name);
    // Kernels that ended while nobody looked.
    for (const port of ports) if (!there.has(port.peer) && !there.has(port.interface)) await this.#host.closePort(port);
    for (const { spec, networkNumber } of members) {
      const { namespace, address } = this.#port(networkNumber!);
      for (const port of spec.publish)
        if (!this.#forwards.lives(port, address) && this.#host.exists)
          await this.#forwards.start(port, spec.publish, namespace, address);
    }
    await this.#keepUplink();
  }

  #members(): readonly Member[] {
    return this.#all().filter(({ id }) => !this.#gone.has(id));
  }

  #named(): (Named & Pick<Member, 'spec'>)[] {
    return this.#members().map(({ spec, networkNumber }) => ({
      spec,
      address: networkNumber === null ? null : addressOf(networkNumber),
    }));
  }

  /** Ports of those that may meet, by tenant; an earlier Polykernel made a tap the port itself, with the name of that end. */
  #groups(): string[][] {
    const groups = new Map<string | null, string[]>();
    for (const { spec, networkNumber } of this.#members()) {
      if (networkNumber === null) continue;
      const { peer, interface: end } = this.#port(networkNumber);
      groups.set(spec.tenant, [...(groups.get(spec.tenant) ?? []), peer, end]);
    }
    return [...groups.values()];
  }

  /** Addresses that may get out. */
  #egress(): string[] {
    return this.#members().flatMap(({ spec, networkNumber }) =>
      spec.network === 'egress' && networkNumber !== null ? [addressOf(networkNumber)] : [],
    );
  }

  /** The whole of it. */
  async #remove(): Promise<void> {
    await this.#host.remove();
    if (this.#privileged) this.#notes.forget(networkName(this.#home));
  }

  /** Closes the way out to all that may not use it, and removes it when nobody may. */
  async #keepUplink(): Promise<void> {
    const addresses = this.#egress();
    if (addresses.length > 0 && this.#host.exists) await this.#uplink?.ensure(addresses);
    else await this.#uplink?.remove();
  }

  /** Forgets the running kernels that are in no network any more, and says so. */
  #lose(isLost: (member: Member) => boolean): void {
    for (const member of this.#members().filter((each) => this.#isIn(each) && isLost(each))) {
      this.#kernels.delete(member.spec.name);
      this.#cut.add(member.id);
      this.#lost(member);
    }
  }

  /** Whether its kernel runs, and is in the network. */
  #isIn({ id, spec, networkNumber }: Member): boolean {
    if (networkNumber === null || this.#cut.has(id)) return false;
    return this.#kernels.has(spec.name) || this.#isTakingOver(spec.name);
  }

  #port(number: number): NetworkPort {
    return this.#host.port(number, addressOf(number), NETMASK);
  }
}
