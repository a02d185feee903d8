/** SECURITY.md names a test for each of its promises, and the tests that it names are there. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8');

/** `a/{b,c}.test.ts` names two files; `NAME.test` one of the kernel tests. */
function namedTests(): string[] {
  const paths = [...page.matchAll(/`((?:src|test)\/[\w./{},-]+\.test\.ts)`/g)].flatMap(([, path]) => {
    const alternatives = /\{([^}]*)\}/.exec(path!)?.[1]?.split(',') ?? [''];
    return alternatives.map((each) => path!.replace(/\{[^}]*\}/, each));
  });
  const kernels = [...page.matchAll(/\b([a-z][a-z0-9-]*)\.test\b(?!\.ts)/g)].map(([, name]) => name!);
  return [...new Set([...paths, ...kernels])];
}

it('names tests that are there', () => {
  const all = globSync('test/{kernel,security/kernel}/*.test.ts', { cwd: ROOT });
  const absent = namedTests().filter((test) =>
    test.includes('/') ? !existsSync(join(ROOT, test)) : !all.some((path) => path.endsWith(`/${test}.test.ts`)),
  );
  expect(absent).toEqual([]);
  expect(namedTests().length).toBeGreaterThan(30);
});

it('has a test in every row of a table of promises', () => {
  const rows: string[] = [];
  let isPromises = false;
  for (const line of page.split('\n')) {
    if (!line.startsWith('|')) isPromises = false;
    else if (/^\| promise \|.*\| test \|$/.test(line)) isPromises = true;
    else if (isPromises && !line.startsWith('| ---')) rows.push(line);
  }
  expect(rows.length).toBeGreaterThan(20);
  for (const row of rows) expect(row.split(' | ').at(-1), row).toMatch(/test/);
});

it('keeps no test of a promise that it does not name', () => {
  const here = globSync('test/security/**/*.test.ts', { cwd: ROOT }).filter(
    (path) => !path.endsWith('promises.test.ts'),
  );
  const named = namedTests();
  const forgotten = here.filter((path) => !named.some((test) => path === test || path.endsWith(`/${test}.test.ts`)));
  expect(forgotten).toEqual([]);
});
