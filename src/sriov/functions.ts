/** PCI functions as a kernel shows them now. */
import { type FunctionHealth, HEALTH_FILES, healthOf } from '../pci/health.ts';
import { comparePciAddresses, isPciAddress } from '../topology/pci-address.ts';
import type { Sysfs } from './sysfs.ts';

export const DEVICES = 'bus/pci/devices';

/** A function, as far as leasing it is concerned. */
export interface SeenFunction {
  address: string;
  vendor: string;
  device: string;
  /** 24 bits. */
  class: number;
  node: number | null;
  driver: string | null;
  iommuGroup: number | null;
  /** Of a virtual function: whose. */
  physicalFunction: string | null;
  /** At most so many virtual functions; 0 = it has none. */
  most: number;
}

const NAMES = [
  ...['vendor', 'device', 'class', 'numa_node', 'driver', 'iommu_group', 'physfn'],
  'sriov_totalvfs',
] as const;

/** All functions, by address in ascending order. */
export async function seeAll(sysfs: Sysfs): Promise<Map<string, SeenFunction>> {
  const addresses = (await sysfs.list(DEVICES)).filter(isPciAddress).sort(comparePciAddresses);
  const seen = await Promise.all(addresses.map((address) => seeFunction(sysfs, address)));
  return new Map(seen.flatMap((each) => (each === undefined ? [] : [[each.address, each]])));
}

/** Undefined when there is no such function (any more). */
export async function seeFunction(sysfs: Sysfs, address: string): Promise<SeenFunction | undefined> {
  const [vendor, device, kind, node, driver, group, physical, most] = await sysfs.read(`${DEVICES}/${address}`, NAMES);
  if (vendor === undefined || device === undefined) return undefined;
  return {
    address,
    vendor: vendor.replace(/^0x/, ''),
    device: device.replace(/^0x/, ''),
    class: number(kind) ?? 0,
    node: number(node),
    driver: driver ?? null,
    iommuGroup: number(group),
    physicalFunction: physical !== undefined && isPciAddress(physical) ? physical : null,
    most: number(most) ?? 0,
  };
}

/** How its link does, and which errors it reported. */
export const seeHealth = async (sysfs: Sysfs, address: string): Promise<FunctionHealth> =>
  healthOf(await Promise.all(HEALTH_FILES.map((name) => sysfs.lines(`${DEVICES}/${address}/${name}`))));

/** Addresses of the virtual functions of `address` that the kernel links to, by their index; those between may come later. */
export async function virtualFunctions(sysfs: Sysfs, address: string): Promise<Map<number, string>> {
  const directory = `${DEVICES}/${address}`;
  const links = (await sysfs.list(directory)).filter((name) => /^virtfn\d{1,5}$/.test(name));
  const targets = await sysfs.read(directory, links);
  const found = links.flatMap((name, at): [number, string][] => {
    const target = targets[at];
    return target !== undefined && isPciAddress(target) ? [[Number(name.slice('virtfn'.length)), target]] : [];
  });
  return new Map(found.sort(([a], [b]) => a - b));
}

/** Null for what is none, and for -1, which says that it is not known. */
function number(text: string | undefined): number | null {
  const value = text === undefined || !/^(0x[\da-f]{1,8}|\d{1,10})$/.test(text) ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) ? value : null;
}
