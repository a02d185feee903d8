/** Doctor speaks of every program that some command needs. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { programNames } from '../../scripts/setup/recipe.ts';
import { TOOL_PACKAGES } from '../../src/sys/tools.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Only measure or test, so no command needs them. */
const OF_BENCHES = new Set(['pk-ring-bench', 'pk-vfio-nvme']);
const isCheck = (path: string) => /\/checks\.ts$|^src\/doctor\/(doctor|host-facts)\.ts$/.test(path);

const sources = globSync('src/**/*.ts', { cwd: ROOT }).filter((path) => !/\.test\.ts$|testing\.ts$/.test(path));
const texts = sources.map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
const checked = texts
  .filter(({ path }) => isCheck(path))
  .map(({ text }) => text)
  .join('\n');
const used = texts
  .filter(({ path }) => !isCheck(path) && !/^src\/sys\/(tools|paths)\.ts$/.test(path))
  .map(({ text }) => text)
  .join('\n');

it('of all that are compiled', () => {
  const own = programNames().filter((name) => !OF_BENCHES.has(name));
  expect(own.filter((name) => !checked.includes(`'${name}'`))).toEqual([]);
});

it('of all of the machine', () => {
  const called = [...used.matchAll(/(?:toolPath|findTool|run|runCommand|spawn)\(\[?'([\w.-]+)'/g)].map(
    ([, name]) => name!,
  );
  const known = Object.keys(TOOL_PACKAGES).filter((name) => used.includes(`'${name}'`));
  const names = [...new Set([...called, ...known])].filter((name) => !checked.includes(`'${name}'`));
  // What doctor says of the user's ids says it of these.
  expect(names.filter((name) => !['newuidmap', 'newgidmap', 'sequence'].includes(name))).toEqual([]);
  expect(called.length).toBeGreaterThan(5);
});
