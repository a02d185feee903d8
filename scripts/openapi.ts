/** Writes src/api/openapi.json from the routes. `--check` only says whether it is current. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describeApi } from './openapi-document.ts';

const path = new URL('../src/api/openapi.json', import.meta.url);
const text = await describeApi();
if (process.argv.includes('--check')) {
  if (readFileSync(path, 'utf8') !== text) {
    console.error('src/api/openapi.json is not current: run `node scripts/openapi.ts`');
    process.exitCode = 1;
  }
} else writeFileSync(path, text);
