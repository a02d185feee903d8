/** Only the registry and a driver's own folder know its name. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { driverNames, driverWords, loadDrivers } from './registry.ts';

const SOURCES = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(SOURCES, path), 'utf8');
/** Where `uml` is a kind of kernel file. */
const KINDS = ['image/image.ts', 'image/kernel-file.ts'];

it('no other folder has a name of a driver among its words', () => {
  const paths = globSync('**/*.ts', { cwd: SOURCES }).filter(
    (path) =>
      !/\.test\.ts$|testing\.ts$|^driver\/(uml|qemu|multikernel|fake|registry)/.test(path) && !KINDS.includes(path),
  );
  expect(paths.length).toBeGreaterThan(100);
  const word = new RegExp(`(['"\`])(${[...driverNames, 'fake'].join('|')})\\1`);
  expect(paths.filter((path) => word.test(read(path)))).toEqual([]);
});

it('the model is no word of the product', async () => {
  expect(driverWords).toEqual(['auto', 'uml', 'qemu', 'multikernel']);
  const published = [...globSync('**/openapi.json', { cwd: SOURCES }), 'cli/index.json', '../polykernel.schema.json'];
  expect(published).toHaveLength(3);
  for (const path of published) expect(read(path)).not.toContain('"fake"');
  const drivers = await loadDrivers({});
  expect(drivers.map(({ traits }) => traits.name)).toEqual(driverNames);
});

it('the model is all there is where it is asked for', async () => {
  const drivers = await loadDrivers({ POLYKERNEL_FAKE: '1' });
  expect(drivers.map(({ traits }) => traits.name)).toEqual(['fake']);
});
