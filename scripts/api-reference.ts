/** `node scripts/api-reference.ts`: writes src/daemon/openapi.json, src/client/routes.ts and the tables of docs/api.md from the contracts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { clientRoutesText, openapiText, withEventTable, withRouteTable } from './api-documents.ts';

const root = join(import.meta.dirname, '..');
const page = join(root, 'docs/api.md');
writeFileSync(join(root, 'src/daemon/openapi.json'), openapiText());
writeFileSync(join(root, 'src/client/routes.ts'), clientRoutesText());
writeFileSync(page, await withEventTable(withRouteTable(readFileSync(page, 'utf8'))));
