/** `node scripts/table-reference.ts`: writes the tables of exit codes (docs/run.md), errors (docs/api.md) and metrics (docs/telemetry.md). */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withErrors, withExitCodes, withMetrics } from './table-documents.ts';

const docs = join(import.meta.dirname, '../docs');
for (const [name, renewed] of [
  ['run.md', withExitCodes],
  ['api.md', withErrors],
  ['telemetry.md', withMetrics],
] as const) {
  const page = join(docs, name);
  writeFileSync(page, await renewed(readFileSync(page, 'utf8')));
}
