import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { withMachineTable } from '../../scripts/machine-table.ts';
import { withVolumeTables } from '../../scripts/volume-table.ts';

it('docs/run.md has the tables that test/kernel/volume.test.ts and machine.test.ts try', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/run.md'), 'utf8');
  expect(page, 'run `node scripts/volume-reference.ts`').toBe(withMachineTable(withVolumeTables(page)));
});
