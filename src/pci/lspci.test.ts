/** What we say of each row of the table against what Debian's lspci says of the same bytes. */
import { expect, it } from 'vitest';
import { hasLspci } from '../../test/support/lspci.ts';
import { compareWithLspci } from '../../test/support/lspci-compare.ts';
import { addressOf, dumpOf, rowImages } from '../../test/support/pci-images.ts';
import { openConfigSpace } from './index.ts';

const SEEDS = [1, 2, 3, 4];

it.runIf(hasLspci).each(SEEDS)('capabilities and flags of every row are those that lspci shows, seed %i', (seed) => {
  const rows = rowImages(seed);
  const dump = dumpOf(rows.map(({ bytes }) => bytes));
  const space = openConfigSpace({ dump });
  for (const [index, { name, id, extended }] of rows.entries())
    expect(space.function(addressOf(index)).decode()!.capabilities.at(-1)).toMatchObject({ id, extended, name });
  const { functions, flags, differences } = compareWithLspci(dump);
  expect(differences).toEqual([]);
  expect(functions).toBe(rows.length);
  expect(flags).toBeGreaterThan(6900);
});
