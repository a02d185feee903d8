import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { describeApi } from '../../scripts/openapi-document.ts';
import { startDaemon } from '../support/harness.ts';

it('the checked-in description of the API is current', async () => {
  // If not: node scripts/openapi.ts
  expect(readFileSync(new URL('../../src/api/openapi.json', import.meta.url), 'utf8')).toBe(await describeApi());
});

it('is served', async () => {
  const test = await startDaemon();
  const document = (await test.client.openapi()) as { paths: Record<string, unknown> };
  expect(Object.keys(document.paths)).toContain('/v1/instances/{name}');
});
