/** How examples of the documents are found and judged; `npm run test:docs` runs them. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { examplesOf } from '../../scripts/docs/examples.ts';
import { difference } from '../../scripts/docs/match.ts';

const ROOT = join(import.meta.dirname, '../..');

describe('examplesOf', () => {
  it('tells commands from what they print, and reads the marks above', () => {
    const text = [
      '<!-- first: true -->',
      '<!-- not run `pk b`: no b here -->',
      '<!-- wait `pk a`: pk ps -->',
      '```console',
      '$ pk a',
      'one',
      'two',
      '# pk b',
      '```',
    ];
    const [example] = examplesOf('x.md', text.join('\n'));
    expect(example).toMatchObject({ line: 4, first: ['true'], skipped: null });
    expect(example!.steps).toEqual([
      { line: 5, command: 'pk a', shown: ['one', 'two'], skipped: null, wait: 'pk ps' },
      { line: 8, command: 'pk b', shown: [], skipped: 'no b here', wait: null },
    ]);
  });

  it('takes as many lines for a command as the shell does', () => {
    const [example] = examplesOf('x.md', '```sh\nfor x in 1; do\n  echo\ndone\ntrue \\\n  false\n```');
    expect(example!.steps.map(({ line, command }) => [line, command])).toEqual([
      [2, 'for x in 1; do\n  echo\ndone'],
      [5, 'true \\\n  false'],
    ]);
  });

  it('refuses marks that mean nothing', () => {
    expect(() => examplesOf('x.md', '<!-- not run -->\n```sh\ntrue\n```')).toThrow(/x\.md:1: not a mark/);
    expect(() => examplesOf('x.md', '<!-- not run `false`: why -->\n```sh\ntrue\n```')).toThrow(/no line begins with/);
  });

  it('understands every document', () => {
    const files = ['README.md', ...globSync('docs/*.md', { cwd: ROOT })];
    const all = files.flatMap((file) => examplesOf(file, readFileSync(join(ROOT, file), 'utf8')));
    for (const file of ['README.md', 'docs/channel.md', 'docs/service.md', 'docs/stack.md'])
      expect(all.filter((example) => example.file === file && example.skipped === null).length).toBeGreaterThan(0);
  });
});

describe('difference', () => {
  const same: [string, string[], string][] = [
    ['numbers of another day', ['web 6.1.176  3s'], 'web 6.12.5       14s\n'],
    ['wider columns', ['A  B', 'x  1'], 'A     B\nx     22'],
    ['any text', ['Linux … x86_64'], 'Linux able-otter #1 x86_64'],
    ['any lines', ['a', '…', 'z'], 'a\nb\nc\nz'],
    ['no line more', ['a', '…'], 'a'],
  ];
  it.each(same)('lets %s pass', (_, shown, printed) => expect(difference(shown, printed)).toBeNull());

  const other: [string, string[], string][] = [
    ['another word', ['state ok'], 'state bad'],
    ['a number that stands alone', ['122'], '0'],
    ['a line more', ['a'], 'a\nb'],
    ['a line less', ['a', 'b'], 'a'],
  ];
  it.each(other)('tells of %s', (_, shown, printed) => expect(difference(shown, printed)).toContain('it printed'));
});
