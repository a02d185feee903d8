import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseStack } from '../../stack/contract.ts';
import { problemsText, readSource, readVariables } from './file.ts';

const directory = mkdtempSync(join(tmpdir(), 'pk-My_Shop-'));
afterAll(() => rmSync(directory, { recursive: true }));

const shown = (text: string) => {
  const source = { text, file: 'shop.yaml', directory: '/srv/shop', defaultName: 'shop' };
  return problemsText(source, parseStack(text, source).problems);
};

describe('a problem on the terminal', () => {
  it('shows where it is and what to do', () => {
    expect(shown('kernels:\n  web:\n    command: [x]\n    restart: sometimes\n')).toBe(
      'shop.yaml:4:14: kernels.web.restart: is "sometimes", which is malformed\n' +
        '    4 |     restart: sometimes\n' +
        '      |              ^\n' +
        '        Use no, on-failure, on-failure:N, always or unless-stopped.\n',
    );
  });

  it('looks as docs/stack.md says', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../docs/stack.md'), 'utf8');
    expect(page).toContain(shown('pool:\n  cpus: 2-x\n  memori: 3G\nkernels: {a: {command: x}}\n'));
  });

  it('shows the part of a long line that matters, its caret below it', () => {
    const [, excerpt = '', caret = ''] = shown(`kernels: {a: {command: [${'x, '.repeat(200)}x], cold: maybe}}`).split(
      '\n',
    );
    expect(excerpt.length).toBeLessThan(140);
    expect(excerpt.slice(caret.indexOf('^'))).toMatch(/^maybe/);
  });

  it('keeps tabs above each other', () => {
    const [, excerpt = '', caret = ''] = shown('kernels: {a: {command: x,\tcold:\tmaybe}}').split('\n');
    expect(excerpt.slice(caret.indexOf('^'))).toMatch(/^maybe/);
    expect(caret.match(/\t/g)).toHaveLength(2);
  });

  it('does not let the file steer the terminal', () => {
    const text = shown('"\u001b[2J\u202e\u009b1m": 1\r\n');
    expect(text).toContain('[2J');
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

describe('a file that cannot be read', () => {
  const write = (name: string, content: string | Uint8Array) => {
    const path = join(directory, name);
    writeFileSync(path, content);
    return path;
  };
  it.each<[string, () => string, object]>([
    ['is not there', () => join(directory, 'none.yaml'), { code: 'not-found', hint: /-f/ }],
    ['is a directory', () => directory, { code: 'invalid', message: /is a directory/ }],
    ['never ends', () => '/dev/zero', { code: 'invalid', message: /larger than 1 MiB/ }],
    ['is no text', () => write('binary', Uint8Array.of(0xff, 0xfe)), { code: 'invalid', message: /not UTF-8/ }],
  ])('%s', async (_what, path, expected) => {
    const patterns = Object.entries(expected).map(([key, value]) => [
      key,
      value instanceof RegExp ? expect.stringMatching(value) : value,
    ]);
    await expect(readSource(path())).rejects.toMatchObject(Object.fromEntries(patterns));
  });

  it('and one that can gives the stack its name and its directory', async () => {
    const source = await readSource(write('polykernel.yaml', '\ufeffkernels: {}'));
    expect(source).toMatchObject({ text: 'kernels: {}', directory });
    expect(source.defaultName).toMatch(/^pk-my-shop-[a-z0-9-]*[a-z0-9]$/);
  });
});

describe('the values of variables', () => {
  const path = (name: string) => join(directory, name);
  const read = async (files: string[], environment: NodeJS.ProcessEnv = {}) =>
    Object.fromEntries(await readVariables(files, directory, environment));

  it('are those of the environment, then of the files, the last first, then of .env', async () => {
    expect(await read([])).toEqual({});
    writeFileSync(path('.env'), 'A=dot\nB=dot\n');
    writeFileSync(path('one'), 'A=one\nB=one\nC=$HOME\n');
    writeFileSync(path('two'), 'B=two-$A\n');
    expect(await read([], { B: 'here' })).toEqual({ A: 'dot', B: 'here' });
    // As Compose has it, a file that is named stands instead of .env.
    expect(await read([path('one'), path('two')], { HOME: '/root' })).toEqual({
      A: 'one',
      B: 'two-one',
      C: '/root',
      HOME: '/root',
    });
  });

  it('come from files that are there and can be read', async () => {
    await expect(read([path('missing')])).rejects.toMatchObject({ code: 'not-found' });
    writeFileSync(path('bad'), 'A=1\nwhat is this\n');
    await expect(read([path('bad')])).rejects.toThrow(/bad:2: this is no NAME=VALUE/);
    writeFileSync(path('binary'), Buffer.from([0xff, 0xfe]));
    await expect(read([path('binary')])).rejects.toMatchObject({ field: '--env-file' });
  });
});
