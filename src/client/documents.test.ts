import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, it } from 'vitest';
import { clientRoutesText, openapiText, withEventTable, withRouteTable } from '../../scripts/api-documents.ts';
import { contractsText, sectionsText } from '../../scripts/room-lists.ts';
import { CONTRACTS } from './contracts.ts';

const text = (path: string) => readFileSync(join(import.meta.dirname, '../..', path), 'utf8');
const STALE = 'run `node scripts/api-reference.ts`';

it('the checked-in description of the API is current', () => {
  expect(text('src/daemon/openapi.json'), STALE).toBe(openapiText());
});

it("so are the client's table and that of docs/api.md", async () => {
  expect(text('src/client/routes.ts'), STALE).toBe(clientRoutesText());
  const page = text('docs/api.md');
  expect(page, STALE).toBe(await withEventTable(withRouteTable(page)));
});

it('so are the lists of what rooms have', async () => {
  const stale = 'run `node scripts/room-references.ts`';
  expect(text('src/client/contracts.ts'), stale).toBe(await contractsText());
  expect(text('src/stack/section-list.ts'), stale).toBe(await sectionsText());
});

it('is OpenAPI 3.1', async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(JSON.parse(openapiText()));
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
  expect(validator.version).toBe('3.1');
});

it('has valid JSON Schemas with types that there are', () => {
  const types = new Set(['object', 'array', 'string', 'integer', 'number', 'boolean', 'null']);
  const told: unknown[] = [];
  JSON.parse(openapiText(), (key, value) => {
    const isType = key === 'type' && (typeof value === 'string' || Array.isArray(value));
    if (isType) told.push(...[value].flat().filter((type) => !types.has(type)));
    return value;
  });
  expect(told).toEqual([]);
});

it('the longest of each time is told as people write times, not only as a number without a unit', () => {
  const mute: string[] = [];
  const look = (value: unknown, path: readonly string[]): void => {
    if (typeof value !== 'object' || value === null) return;
    const { name = path.at(-1), schema = value } = value as { name?: unknown; schema?: object };
    const { maximum, 'x-hint': hint } = schema as { maximum?: number; 'x-hint'?: string };
    if (/Ms$|^seconds$|^since$/.test(String(name)) && maximum !== undefined && hint === undefined)
      mute.push([...path, String(name)].join('.'));
    for (const [key, part] of Object.entries(value)) look(part, [...path, key]);
  };
  look(CONTRACTS, []);
  expect(mute).toEqual([]);
});
