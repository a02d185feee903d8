/** PCI functions (Documentation/ABI/testing/sysfs-bus-pci). */
import { comparePciAddresses, isPciAddress } from '../pci-address.ts';
import type { PciFunction } from '../topology.ts';
import { readHostUse } from './host-use.ts';
import type { Look } from './sets.ts';

const DEVICES = 'sys/bus/pci/devices';

/** Ascending by address. `nodes` are the ids of the NUMA nodes there are. */
export function readPci(look: Look, nodes: ReadonlySet<number>): PciFunction[] {
  const { files, warnings } = look;
  const addresses = files.names(DEVICES).filter(isPciAddress).sort(comparePciAddresses);
  if (addresses.length === 0) return [];
  const known = new Set(addresses);
  const hostUse = readHostUse(files, known);
  return addresses.map((address): PciFunction => {
    const directory = `${DEVICES}/${address}`;
    const names = new Set(files.names(directory));
    const integer = (name: string) => (names.has(name) ? files.integer(`${directory}/${name}`) : undefined);
    const link = (name: string) => (names.has(name) ? files.linkName(`${directory}/${name}`) : undefined);
    const id = (name: string, most: number): number => {
      const value = integer(name) ?? -1;
      if (value >= 0 && value <= most) return value;
      warnings.add(`${directory}/${name} is no number up to 0x${most.toString(16)}; 0 is taken.`);
      return 0;
    };
    const group = link('iommu_group') ?? '';
    return {
      address,
      class: id('class', 0xffffff),
      vendor: id('vendor', 0xffff),
      device: id('device', 0xffff),
      driver: driverName(look, directory, link('driver')),
      node: deviceNode(look, address, integer('numa_node'), nodes),
      iommuGroup: /^\d{1,9}$/.test(group) ? Number(group) : null,
      sriov: sriov(integer('sriov_totalvfs'), integer('sriov_numvfs')),
      physicalFunction: physicalFunction(look, address, link('physfn'), known),
      hostUse: hostUse.get(address) ?? null,
    };
  });
}

/** The link's target; in a snapshot taken without links, uevent still says it. */
function driverName({ files }: Look, directory: string, linked: string | undefined): string | null {
  if (linked !== undefined) return linked;
  return /^DRIVER=(\S{1,64})$/m.exec(files.text(`${directory}/uevent`, 4096) ?? '')?.[1] ?? null;
}

/** -1 where the platform does not say. */
function deviceNode({ warnings }: Look, address: string, node = -1, nodes: ReadonlySet<number>): number | null {
  if (node < 0) return null;
  if (nodes.has(node)) return node;
  warnings.add(
    `PCI function ${address} is said to be on node ${node}, which does not exist; its node is taken as unknown.`,
  );
  return null;
}

function sriov(total = 0, now = 0): PciFunction['sriov'] {
  if (total <= 0) return null;
  return { totalVfs: total, numVfs: Math.min(Math.max(now, 0), total) };
}

function physicalFunction(
  { warnings }: Look,
  address: string,
  linked: string | undefined,
  known: ReadonlySet<string>,
): string | null {
  if (linked === undefined) return null;
  if (known.has(linked) && linked !== address) return linked;
  warnings.add(`PCI function ${address} is said to be a virtual function of ${linked}, which does not exist.`);
  return null;
}
