/** What we say of configuration spaces held against what Debian's lspci says of the same bytes. */
import { type DecodedRegister, openConfigSpace } from '../../src/pci/index.ts';
import { lspci } from './lspci.ts';

/** Flags that lspci prints: under which names we have them. */
const OURS: Readonly<Record<string, string>> = {
  'Changed MRL': 'MRLChanged',
  'Changed PresDet': 'PresDetChanged',
  'Changed LinkState': 'LinkStateChanged',
};
/** Of lspci 3.9, which looks at another bit than PCIe 7.9.24.4 says. */
const WRONG = ['DOESta Error'];

export interface Comparison {
  functions: number;
  /** Flags that both show. */
  flags: number;
  /** One sentence each. */
  differences: string[];
}

/** Of each function of a dump: which capabilities it has and where, and every flag that both show. */
export function compareWithLspci(dump: string): Comparison {
  const oracle = lspci(dump);
  using space = openConfigSpace({ dump });
  const found: Comparison = { functions: 0, flags: 0, differences: [] };
  for (const address of space.addresses()) {
    found.functions += 1;
    const ours = space.function(address).decode({ registers: true });
    const theirs = oracle.get(address) ?? [];
    const places = [0, ...(ours?.capabilities.map(({ offset }) => offset) ?? [])].join();
    const theirPlaces = theirs.map(({ offset }) => offset).join();
    if (ours === undefined || places !== theirPlaces) {
      found.differences.push(`${address}: capabilities at ${places}, lspci has them at ${theirPlaces}`);
      continue;
    }
    for (const { offset, flags } of theirs) {
      const registers =
        offset === 0 ? ours.header : ours.capabilities.find((each) => each.offset === offset)!.registers;
      for (const flag of flags) {
        const key = `${flag.register} ${flag.name}`;
        const values = valuesOf(registers, flag.register, OURS[key] ?? flag.name);
        if (values.length === 0 || WRONG.includes(key)) continue;
        found.flags += 1;
        if (!values.includes(flag.set))
          found.differences.push(`${address} ${offset.toString(16)}: ${key} is ${flag.set ? '+' : '-'} for lspci`);
      }
    }
  }
  return found;
}

/** Of the register of that label; of any where lspci has no label, or another one. */
function valuesOf(registers: readonly DecodedRegister[], label: string, flag: string): boolean[] {
  const labelled = registers.filter(({ name }) => name === label);
  const values = (labelled.length > 0 ? labelled : registers).map(({ fields }) => fields?.[flag]);
  return values.filter((value) => typeof value === 'boolean');
}
