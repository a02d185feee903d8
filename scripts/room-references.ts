/** `node scripts/room-references.ts`: writes the lists of src/client/contracts.ts and src/stack/section-list.ts from the rooms' folders. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contractsText, sectionsText } from './room-lists.ts';

const src = join(import.meta.dirname, '../src');
// First: the contract of stacks is made from it.
writeFileSync(join(src, 'stack/section-list.ts'), await sectionsText());
writeFileSync(join(src, 'client/contracts.ts'), await contractsText());
