/** What a newcomer relies on: files say what they are for and stay small, links of pages lead somewhere, the README leads everywhere. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const lengthOf = (path: string) => read(path).split('\n').length - 1;

// A test stands beside what it tests, or says in its name what it is about.
const SOURCES = globSync('{src,scripts,bench,test/support}/**/*.ts', { cwd: ROOT })
  .filter((path) => !path.endsWith('.test.ts'))
  .concat(globSync('native/**/*.{c,h}', { cwd: ROOT }));
const PAGES = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT });

it('every file over 40 lines opens with what it is for', () => {
  const silent = SOURCES.filter((path) => lengthOf(path) > 40 && !/^(#!.*\n)?\/\*/.test(read(path)));
  expect(silent).toEqual([]);
});

it('no file is long', () => {
  const long = SOURCES.filter((path) => lengthOf(path) > (path.endsWith('.ts') ? 450 : 400));
  // What programs of others include is one file each.
  const given = ['pk-ring.h', 'pk-channel.h'].map((name) => join('native', 'ring', name));
  expect(long.filter((path) => !given.includes(path))).toEqual([]);
});

/** As GitHub makes them of headings. */
const anchorsOf = (page: string): string[] =>
  [...page.replaceAll(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );

it.each(PAGES)('links of %s lead somewhere', (path) => {
  const links = [...read(path).matchAll(/\]\((?!https?:)([^)\s#]*)(?:#([^)\s]*))?\)/g)];
  const broken = links.filter(([, to, anchor]) => {
    const target = to === '' ? path : join(dirname(path), to!);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && target.endsWith('.md') && !anchorsOf(read(target)).includes(anchor);
  });
  expect(broken.map(([link]) => link)).toEqual([]);
});

it('the README leads to every page', () => {
  const page = read('README.md');
  const pages = PAGES.filter((path) => path !== 'README.md' && !/^docs\/advice\/(?!README)/.test(path));
  expect(pages.filter((path) => !page.includes(`](${path})`))).toEqual([]);
});

/** `a/{b,c}.ts` as a/b.ts and a/c.ts. */
function spelledOut(path: string): string[] {
  const [, before, choices, after] = /^([^{}]*)\{([^{}]*)\}(.*)$/.exec(path) ?? [];
  return choices === undefined ? [path] : choices.split(',').flatMap((each) => spelledOut(`${before}${each}${after}`));
}

it.each(PAGES.filter((path) => path !== 'CHANGELOG.md'))('files that %s names are there', (path) => {
  const named = [...read(path).matchAll(/`((?:src|test|bench|native)\/[\w.{},/-]+)/g)].flatMap(([, to]) =>
    spelledOut(to!),
  );
  const gone = named.filter(
    (to) => !/[A-Z]/.test(to) && !existsSync(join(ROOT, to)) && globSync(`${to}*`, { cwd: ROOT }).length === 0,
  );
  expect(gone).toEqual([]);
});
