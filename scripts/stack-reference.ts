/** `node scripts/stack-reference.ts`: writes polykernel.schema.json and the option table of docs/stack.md from src/stack/options.ts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { schemaText, withOptionTable } from './stack-documents.ts';

const root = join(import.meta.dirname, '..');
const page = join(root, 'docs/stack.md');
writeFileSync(join(root, 'polykernel.schema.json'), schemaText());
writeFileSync(page, withOptionTable(readFileSync(page, 'utf8')));
