/**
 * A kernel's /sys with functions that have virtual ones, as Linux 6.1 behaves (drivers/pci/iov.c, pci-sysfs.c, drivers/base/bus.c), stated
 * apart from the product: numbers go from zero and to zero alone, fewer may come than were asked for, links may come late, `bind` obeys
 * driver_override where autoprobing is off, says yes to drivers that fail later, and what blocks there blocks here. No time passes.
 */
import { type Sysfs, SysfsFault } from '../../src/sriov/sysfs.ts';

export interface ModelCard {
  address: string;
  /** The first is that of its virtual function 0; the others follow. */
  firstVirtual: string;
  most: number;
  class?: string;
  node?: number;
  /** Null: none that makes virtual functions. */
  driver?: string | null;
}

interface Modelled {
  address: string;
  class: string;
  node: number;
  driver: string | null;
  override: string;
  group: number;
  /** Of a virtual function: whose, and which. */
  physical?: Modelled;
  index?: number;
  /** Of one without autoprobing: binds by override alone. */
  byOverrideOnly: boolean;
  card?: ModelCard;
  autoprobe: boolean;
  virtual: Modelled[];
  resets: number;
}

const NVME = '0x010802';
const DEVICE = /^bus\/pci\/devices\/([^/]+)(?:\/([^/]+))?$/;

export class SriovModel implements Sysfs {
  readonly functions = new Map<string, Modelled>();
  /** All that was written, in order. */
  readonly writes: string[] = [];
  /** What the driver makes of a number that was asked for; throws SysfsFault to refuse. */
  makes: (count: number) => number = (count) => count;
  /** So many looks at its directory before a link to a virtual function is there. */
  lateLinks = 0;
  /** Drivers whose probe fails after `bind` has said yes. */
  readonly failing = new Set<string>();
  /** Lines of files of functions, by `ADDRESS/NAME`. */
  readonly texts = new Map<string, readonly string[]>();
  /** Functions that cannot be reset, or are silent afterwards. */
  readonly unresettable = new Set<string>();
  readonly silent = new Set<string>();
  /** A write for which this gives a promise is done when that is. */
  hold: (path: string, text: string) => Promise<void> | undefined = () => undefined;
  readonly drivers = new Set(['nvme', 'igb', 'vfio-pci', 'pcieport']);
  hasIommu = true;
  /** How many virtual controllers were set online. */
  online = 0;
  resetsNow = 0;
  mostResetsAtOnce = 0;
  #looks = 0;
  #groups = 0;

  constructor(cards: readonly ModelCard[]) {
    for (const card of cards) {
      const made = this.#make(card.address, card.class ?? NVME, card.node ?? -1);
      made.card = card;
      made.driver = card.driver === undefined ? 'nvme' : card.driver;
    }
  }

  /** One function more; of the same IOMMU group as another, where that is named. */
  add(
    address: string,
    { kind = NVME, with: other, driver = null }: { kind?: string; with?: string; driver?: string | null },
  ) {
    const made = this.#make(address, kind, -1);
    made.driver = driver;
    if (other !== undefined) made.group = this.functions.get(other)!.group;
  }

  async read(directory: string, names: readonly string[]): Promise<(string | undefined)[]> {
    const found = this.functions.get(DEVICE.exec(directory)?.[1] ?? '');
    return names.map((name) => (found === undefined ? undefined : this.#value(found, name)));
  }

  async lines(path: string): Promise<string[]> {
    return [...(this.texts.get(path.replace('bus/pci/devices/', '')) ?? [])];
  }

  async list(directory: string): Promise<string[]> {
    if (directory === 'bus/pci/devices') return [...this.functions.keys()];
    if (directory === 'bus/pci/drivers') return [...this.drivers];
    const group = /^kernel\/iommu_groups(?:\/(\d+)\/devices)?$/.exec(directory);
    if (group !== null) {
      if (!this.hasIommu) return [];
      const all = [...this.functions.values()];
      return group[1] === undefined
        ? [...new Set(all.map((each) => String(each.group)))]
        : all.filter((each) => String(each.group) === group[1]).map(({ address }) => address);
    }
    const [, address = '', name] = DEVICE.exec(directory) ?? [];
    const found = this.functions.get(address);
    if (found === undefined) return [];
    if (name === 'net') return found.driver === 'igb' ? ['eth0'] : [];
    if (name === 'nvme') return found.driver === 'nvme' ? ['nvme0'] : [];
    this.#looks += 1;
    const linked = this.lateLinks === 0 ? found.virtual.length : Math.floor(this.#looks / this.lateLinks);
    return ['config', ...found.virtual.slice(0, linked).map(({ index }) => `virtfn${index}`)];
  }

  async slowRead(path: string): Promise<string> {
    const [, address = '', name] = DEVICE.exec(path) ?? [];
    await this.hold(path, '');
    const found = this.functions.get(address);
    if (found === undefined || name !== 'sriov_numvfs') throw new SysfsFault('ENOENT', path);
    return String(found.virtual.length);
  }

  async bytes(path: string): Promise<number> {
    const [, address = ''] = DEVICE.exec(path) ?? [];
    if (!this.functions.has(address)) throw new SysfsFault('ENOENT', path);
    return this.silent.has(address) ? 0xffffffff : 0x01080202;
  }

  async write(path: string, text: string): Promise<void> {
    this.writes.push(`${path.replace(/^bus\/pci\//, '')} ${text}`.trimEnd());
    if (/\/reset$/.test(path)) this.mostResetsAtOnce = Math.max(this.mostResetsAtOnce, ++this.resetsNow);
    try {
      // Others get their turn while the kernel is at it.
      await (this.hold(path, text) ?? new Promise((resolve) => setImmediate(resolve)));
      this.#store(path, text);
    } finally {
      if (/\/reset$/.test(path)) this.resetsNow -= 1;
    }
  }

  async secondariesOnline(_: string, count: number): Promise<number> {
    this.online = count;
    return count;
  }

  close(): void {}

  /** As a reboot leaves it. */
  reboot(): void {
    for (const each of [...this.functions.values()]) {
      if (each.physical !== undefined) this.functions.delete(each.address);
      each.virtual = [];
      each.override = '';
      if (each.card !== undefined) each.driver = each.card.driver === undefined ? 'nvme' : each.card.driver;
    }
  }

  #make(address: string, kind: string, node: number): Modelled {
    const made: Modelled = {
      ...{ address, class: kind, node, driver: null, override: '', group: this.#groups++, byOverrideOnly: false },
      ...{ autoprobe: true, virtual: [], resets: 0 },
    };
    this.functions.set(address, made);
    return made;
  }

  #value(of: Modelled, name: string): string | undefined {
    const link = /^virtfn(\d+)$/.exec(name);
    if (link !== null) return of.virtual[Number(link[1])]?.address;
    switch (name) {
      case 'vendor':
        return '0x1b36';
      case 'device':
        return '0x0010';
      case 'class':
        return of.class;
      case 'numa_node':
        return String(of.node);
      case 'driver':
        return of.driver ?? undefined;
      case 'iommu_group':
        return this.hasIommu ? String(of.group) : undefined;
      case 'physfn':
        return of.physical?.address;
      case 'sriov_totalvfs':
        return of.card === undefined ? undefined : String(of.card.most);
      case 'sriov_drivers_autoprobe':
        return of.card === undefined ? undefined : of.autoprobe ? '1' : '0';
      default:
        return undefined;
    }
  }

  #store(path: string, text: string): void {
    const driver = /^bus\/pci\/drivers\/([^/]+)\/(bind|unbind)$/.exec(path);
    if (driver !== null) {
      this.#bind(driver[1]!, driver[2]!, text, path);
      return;
    }
    const [, address = '', name = ''] = DEVICE.exec(path) ?? [];
    const found = this.functions.get(address);
    if (found === undefined) throw new SysfsFault('ENOENT', path);
    if (name === 'sriov_numvfs' && found.card !== undefined) this.#setCount(found, Number(text), path);
    else if (name === 'sriov_drivers_autoprobe') found.autoprobe = text === '1';
    else if (name === 'driver_override') found.override = text;
    else if (name === 'reset') {
      if (this.unresettable.has(address)) throw new SysfsFault('ENOTTY', path);
      found.resets += 1;
    } else throw new SysfsFault('ENOENT', path);
  }

  /** sriov_numvfs_store. */
  #setCount(of: Modelled, count: number, path: string): void {
    const card = of.card!;
    if (!Number.isInteger(count) || count < 0 || count > 65_535) throw new SysfsFault('EINVAL', path);
    if (count > card.most) throw new SysfsFault('ERANGE', path);
    if (count === of.virtual.length) return;
    if (of.driver === null) throw new SysfsFault('ENOENT', path);
    if (count > 0 && of.virtual.length > 0) throw new SysfsFault('EBUSY', path);
    for (const { address } of of.virtual) this.functions.delete(address);
    of.virtual = [];
    this.#looks = 0;
    const made = count === 0 ? 0 : this.makes(count);
    for (let index = 0; index < made; index++) {
      const virtual = this.#make(addressAfter(card.firstVirtual, index), of.class, of.node);
      Object.assign(virtual, {
        physical: of,
        index,
        byOverrideOnly: !of.autoprobe,
        driver: of.autoprobe ? of.driver : null,
      });
      of.virtual.push(virtual);
    }
  }

  #bind(driver: string, what: string, address: string, path: string): void {
    const found = this.functions.get(address);
    if (!this.drivers.has(driver)) throw new SysfsFault('ENOENT', path);
    if (found === undefined) throw new SysfsFault('ENODEV', path);
    if (what === 'unbind') {
      if (found.driver !== driver) throw new SysfsFault('ENODEV', path);
      found.driver = null;
      return;
    }
    if (found.driver !== null) throw new SysfsFault('EBUSY', path);
    const matches = found.override === '' ? driver !== 'vfio-pci' && !found.byOverrideOnly : found.override === driver;
    if (!matches) throw new SysfsFault('ENODEV', path);
    if (!this.failing.has(driver)) found.driver = driver;
  }
}

/** With alternative routing ids: functions count through devices and buses. */
function addressAfter(first: string, by: number): string {
  const [, bus, device, fn] = /^0000:(..):(..)\.(.)$/.exec(first)!;
  const id = Number.parseInt(bus!, 16) * 256 + Number.parseInt(device!, 16) * 8 + Number(fn) + by;
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  return `0000:${hex(id >> 8)}:${hex((id >> 3) & 31)}.${id & 7}`;
}
