/** Names of functions for people. */
import type { FunctionFacts, PciNames } from '../../pci/index.ts';
import { pciClassWord } from '../../topology/pci-class.ts';

const hex4 = (id: number): string => id.toString(16).padStart(4, '0');

export const ids = ({ vendor, device }: FunctionFacts): string => `${hex4(vendor)}:${hex4(device)}`;

export const className = (facts: FunctionFacts, names: PciNames): string =>
  names.class(facts.class) ?? pciClassWord(facts.class);

/** Vendor and device; empty where no name is known. */
export function deviceName({ vendor, device }: FunctionFacts, names: PciNames): string {
  return [names.vendor(vendor), names.device(vendor, device)].filter((name) => name !== undefined).join(' ');
}
