/** Rules about PCI functions. */

import type { Finding, Rule } from './rule.ts';
import { few, nodesText } from './text.ts';
import { nearestNodes } from './view.ts';

/** A device that its owner is to have, and the machine no longer has: a card that was pulled, a virtual function that was not made again. */
export const absentFunction: Rule = ({ topology, partitions, pool }, { instances }) => {
  const there = new Set(topology.pci.map(({ address }) => address));
  const owned = new Set(partitions.flatMap(({ partition }) => partition.devices));
  const wanted = new Map([['pool', (pool?.devices ?? []).filter((address) => !owned.has(address))]]);
  for (const [name, { functions = [] }] of Object.entries(instances)) wanted.set(name, [...functions]);
  for (const { owner, partition } of partitions)
    wanted.set(owner, [...(wanted.get(owner) ?? []), ...partition.devices]);
  return [...wanted].flatMap(([subject, addresses]) => {
    const absent = addresses.filter((address) => !there.has(address));
    if (absent.length === 0) return [];
    return [
      {
        severity: 'warning',
        subject,
        message: `this machine no longer has ${few(absent)}`,
        remedy:
          'Put it back (virtual ones: pk sriov enable), or take it out of the stack file: the next start will fail.',
      },
    ];
  });
};

/** A device on node d of an instance none of whose CPUs is on the node nearest to d that has CPUs. */
export const remoteDevice: Rule = (view) => {
  const functions = new Map(view.topology.pci.map((each) => [each.address, each]));
  return view.partitions.flatMap(({ owner, partition, nodes }) => {
    if (nodes.size === 0) return [];
    const far = partition.devices.flatMap((address) => {
      const node = functions.get(address)?.node ?? null;
      if (node === null) return [];
      const near = nearestNodes(view, [node], (each) => each.cpus.length > 0);
      return near.size === 0 || [...near].some((each) => nodes.has(each)) ? [] : [{ address, node }];
    });
    if (far[0] === undefined) return [];
    return [
      {
        severity: 'warning',
        subject: owner,
        message: `its CPUs are on ${nodesText(nodes)} but ${few(far.map(({ address, node }) => `${address} is on node ${node}`))}`,
        remedy: `Ask for CPUs beside the device: cpus: {count: ${partition.cpus.length || 1}, near: "${far[0].address}"}.`,
      },
    ];
  });
};

/** PCI bridges of an IOMMU group are not given away with it (Documentation/driver-api/vfio.rst). */
const PCI_BRIDGE = 0x0604;

/** Functions of one IOMMU group reach each other's memory: group(d) = group(f), but f is not with d's owner. */
export const iommuGroup: Rule = (view) => {
  const groups = Map.groupBy(
    view.topology.pci.filter((each) => each.iommuGroup !== null && each.class >> 8 !== PCI_BRIDGE),
    (each) => each.iommuGroup!,
  );
  const functions = new Map(view.topology.pci.map((each) => [each.address, each]));
  const owners = new Map(
    view.partitions.flatMap(({ owner, partition }) => partition.devices.map((each) => [each, owner])),
  );
  const pool = new Set(view.pool?.devices);
  const check = (subject: string, devices: readonly string[], mine: (address: string) => boolean): Finding[] => {
    const strangers = devices.flatMap((address) => {
      const group = functions.get(address)?.iommuGroup ?? null;
      const others = group === null ? [] : groups.get(group)!.filter((each) => !mine(each.address));
      return others.length === 0
        ? []
        : [
            `group ${group} of ${address} also holds ${few(others.map((each) => `${each.address} (${owners.get(each.address) ?? (pool.has(each.address) ? 'nobody' : 'the host kernel')})`))}`,
          ];
    });
    if (strangers.length === 0) return [];
    return [
      {
        severity: 'warning',
        subject,
        message: `IOMMU ${few(strangers)}`,
        remedy: 'Give the whole group to one owner, or move the card to a slot with a group of its own (PCIe ACS).',
      },
    ];
  };
  return [
    ...view.partitions.flatMap(({ owner, partition }) =>
      check(owner, partition.devices, (address) => owners.get(address) === owner),
    ),
    ...check(
      'pool',
      (view.pool?.devices ?? []).filter((address) => !owners.has(address)),
      (address) => pool.has(address),
    ),
  ];
};

/** Functions of one device, that is with one address but for the number, share its power and its reset. Those of one group iommuGroup() tells. */
export const splitDevice: Rule = ({ topology, partitions }) => {
  const deviceOf = (address: string) => address.slice(0, address.lastIndexOf('.'));
  const whole = topology.pci.filter((each) => each.physicalFunction === null && each.class >> 8 !== PCI_BRIDGE);
  const owners = new Map(partitions.flatMap(({ owner, partition }) => partition.devices.map((each) => [each, owner])));
  return partitions.flatMap(({ owner, partition }) => {
    const split = whole
      .filter(({ address }) => partition.devices.includes(address))
      .flatMap((mine) => {
        const left = whole.filter(
          ({ address, iommuGroup: group }) =>
            deviceOf(address) === deviceOf(mine.address) &&
            owners.get(address) !== owner &&
            (group === null || group !== mine.iommuGroup),
        );
        const names = left.map(({ address }) => `${address} (${owners.get(address) ?? 'not its own'})`);
        return left.length === 0 ? [] : [`${mine.address} is one function of a device with ${few(names)}`];
      });
    if (split.length === 0) return [];
    return [
      {
        severity: 'warning',
        subject: owner,
        message: few(split),
        remedy: 'Give all functions of a device to one owner: what resets the device resets them all.',
      },
    ];
  });
};
