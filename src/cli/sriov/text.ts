/** PCI functions as commands show them. Pure. */

import { errorsText, linkText } from '../../pci/health.ts';
import type {
  AssignedFunction,
  CountReport,
  FunctionsReport,
  Lease,
  PhysicalFunction,
  PlannedChange,
} from '../../sriov/contract.ts';
import { pciClassWord } from '../../topology/pci-class.ts';
import { table } from '../kit/table.ts';

export function functionsText({ physical, leases }: FunctionsReport): string {
  if (physical.length === 0 && leases.length === 0)
    return 'No function of this machine has virtual ones (SR-IOV). `pk pci ls` lists all there are.\n';
  const rows = physical.flatMap((each) => [
    [
      each.address,
      kindOf(each),
      each.driver ?? '-',
      node(each.node),
      '-',
      `${summary(each)}${healthWords(each.health)}`,
    ],
    ...each.virtual.map(({ index, address, driver, node: on, iommuGroup, lease }) => [
      `  ${address}`,
      `vf ${index}`,
      driver ?? '-',
      node(on),
      iommuGroup === null ? '-' : String(iommuGroup),
      lease === null ? '-' : leaseWords(lease),
    ]),
  ]);
  const shown = new Set(physical.flatMap(({ virtual }) => virtual.map(({ address }) => address)));
  const others = leases
    .filter(({ address }) => !shown.has(address))
    .map((each) => [
      each.address,
      each.physicalFunction === null ? 'whole' : 'vf (gone)',
      '-',
      '-',
      '-',
      leaseWords(each),
    ]);
  return table(['ADDRESS', 'KIND', 'DRIVER', 'NODE', 'GROUP', 'WHOSE'], [...rows, ...others]);
}

export const planText = (changes: readonly PlannedChange[]): string =>
  changes.length === 0
    ? 'All is as wanted.\n'
    : changes
        .map(({ text, obstacle }) => `${text}${obstacle === null ? '' : ` (not by itself: ${obstacle})`}\n`)
        .join('');

export const countText = ({ address, now, notes }: CountReport): string =>
  `${address} has ${now} virtual functions${notes.map((note) => `; ${note}`).join('')}\n`;

export const leaseText = ({ address, owner, generation, warnings }: AssignedFunction): string =>
  [`${address} is ${owner}'s (generation ${generation})`, ...warnings.map((text) => `warning: ${text}`), ''].join('\n');

const kindOf = (each: PhysicalFunction): string => pciClassWord(each.class);
const node = (on: number | null): string => (on === null ? '-' : String(on));
const summary = ({ virtual, most, wanted }: PhysicalFunction): string =>
  `${virtual.length} of ${most} virtual${wanted !== null && wanted !== virtual.length ? `, ${wanted} wanted` : ''}`;
const healthWords = ({ link, errors }: PhysicalFunction['health']): string =>
  `${link === null ? '' : `; ${linkText(link)}`}${errors === null ? '' : `; errors: ${errorsText(errors)}`}`;
const leaseWords = ({ owner, generation, state, reason }: Lease): string =>
  state === 'leased' ? `${owner} (${generation})` : `${state} after ${owner}${reason === null ? '' : `: ${reason}`}`;
