/** What we say of each row of the table against what Debian's lspci says of the same bytes. */
import { expect, it } from 'vitest';
import { hasLspci, lspci } from '../../test/support/lspci.ts';
import { addressOf, dumpOf, rowImages } from '../../test/support/pci-images.ts';
import { type DecodedRegister, openConfigSpace } from './index.ts';

/** Flags that lspci prints: under which names we have them. */
const OURS: Readonly<Record<string, string>> = {
  'Changed MRL': 'MRLChanged',
  'Changed PresDet': 'PresDetChanged',
  'Changed LinkState': 'LinkStateChanged',
};
/** Of lspci 3.9, which looks at another bit than PCIe 7.9.24.4 says. */
const WRONG = ['DOESta Error'];

const SEEDS = [1, 2, 3, 4];

it.runIf(hasLspci).each(SEEDS)('capabilities and flags of every row are those that lspci shows, seed %i', (seed) => {
  const rows = rowImages(seed);
  const dump = dumpOf(rows.map(({ bytes }) => bytes));
  const oracle = lspci(dump);
  const space = openConfigSpace({ dump });
  let compared = 0;
  for (const [index, { name, id, extended }] of rows.entries()) {
    const address = addressOf(index);
    const ours = space.function(address).decode({ registers: true })!;
    const theirs = oracle.get(address) ?? [];
    expect([0, ...ours.capabilities.map(({ offset }) => offset)], name).toEqual(theirs.map(({ offset }) => offset));
    expect(ours.capabilities.at(-1)).toMatchObject({ id, extended, name });
    for (const { offset, flags } of theirs) {
      const registers =
        offset === 0 ? ours.header : ours.capabilities.find((each) => each.offset === offset)!.registers;
      for (const flag of flags) {
        const key = `${flag.register} ${flag.name}`;
        const values = valuesOf(registers, flag.register, OURS[key] ?? flag.name);
        if (values.length === 0 || WRONG.includes(key)) continue;
        compared += 1;
        expect(values, `${name}: ${key}`).toContain(flag.set);
      }
    }
  }
  expect(compared).toBeGreaterThan(6900);
});

/** Of the register of that label; of any where lspci has no label, or another one. */
function valuesOf(registers: readonly DecodedRegister[], label: string, flag: string): boolean[] {
  const labelled = registers.filter(({ name }) => name === label);
  const values = (labelled.length > 0 ? labelled : registers).map(({ fields }) => fields?.[flag]);
  return values.filter((value) => typeof value === 'boolean');
}
