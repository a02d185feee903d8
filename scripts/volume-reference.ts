/** `node scripts/volume-reference.ts`: writes the tables of docs/run.md from scripts/volume-table.ts and scripts/machine-table.ts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withMachineTable } from './machine-table.ts';
import { withVolumeTables } from './volume-table.ts';

const page = join(import.meta.dirname, '../docs/run.md');
writeFileSync(page, withMachineTable(withVolumeTables(readFileSync(page, 'utf8'))));
