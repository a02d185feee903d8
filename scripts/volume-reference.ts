/** `node scripts/volume-reference.ts`: writes the tables of docs/run.md from scripts/volume-table.ts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withVolumeTables } from './volume-table.ts';

const page = join(import.meta.dirname, '../docs/run.md');
writeFileSync(page, withVolumeTables(readFileSync(page, 'utf8')));
