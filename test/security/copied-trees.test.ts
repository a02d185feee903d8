/** `pk cp` out of a hostile guest: whatever its archive says, nothing but what was named is written here. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Entry, encodeEntry, padding } from '../../src/cli/instance/tree/blocks.ts';
import { packTree } from '../../src/cli/instance/tree/pack.ts';
import { unpackTree } from '../../src/cli/instance/tree/unpack.ts';

const END = Buffer.alloc(1024);
let base: string;
let left: string[];

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-trees-'));
  mkdirSync(join(base, 'precious'));
  writeFileSync(join(base, 'precious/file'), 'mine');
  left = [];
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const entry = (type: Entry['type'], name: string, more: Partial<Entry> = {}): Buffer =>
  encodeEntry({
    type,
    name: Buffer.from(name),
    link: Buffer.alloc(0),
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: 1,
    size: 0,
    ...more,
  });
const file = (name: string, text = 'evil', more: Partial<Entry> = {}): Buffer =>
  Buffer.concat([
    entry('file', name, { size: text.length, ...more }),
    Buffer.from(text),
    Buffer.alloc(padding(text.length)),
  ]);
/** An entry of a type that no writer of ours makes. */
function typed(code: string, name: string, link = ''): Buffer {
  const block = entry('link', name, { link: Buffer.from(link) });
  block.write(code, 156, 'latin1');
  const sum = block.reduce((all, byte, at) => all + (at < 148 || at >= 156 ? byte : 0x20), 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** In pieces that end anywhere. */
async function* pieces(archive: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < archive.length; at += 700) yield archive.subarray(at, at + 700);
}
const unpack = (parts: readonly Buffer[], path = 'out', name = 'tree') =>
  unpackTree(pieces(Buffer.concat([...parts, END])), join(base, path), {
    name,
    keepsOwners: false,
    leftOut: (what) => void left.push(what),
  });

it.each([
  ['a name that leads up', () => [entry('directory', './'), file('../precious/file')]],
  ['one that does so further in', () => [entry('directory', './a'), file('./a/../../precious/file')]],
  [
    'a link of its own, and a name through it',
    () => [entry('link', './l', { link: Buffer.from('../precious') }), file('./l/file')],
  ],
  [
    'an absolute link, and a name through it',
    () => [entry('link', './l', { link: Buffer.from(join(base, 'precious')) }), file('./l/file')],
  ],
  ['a hard link', () => [entry('directory', './'), typed('1', './h', join(base, 'precious/file')), file('./h')]],
  ['a sparse file', () => [typed('S', './s')]],
])('%s is refused', async (_, archive) => {
  await expect(unpack(archive())).rejects.toThrow();
  expect(readFileSync(join(base, 'precious/file'), 'utf8')).toBe('mine');
  expect(readdirSync(join(base, 'precious'))).toEqual(['file']);
});

it('a file in the place of a link replaces the link, one that was there too', async () => {
  mkdirSync(join(base, 'out/tree'), { recursive: true });
  symlinkSync(join(base, 'precious/file'), join(base, 'out/tree/old'));
  await unpack([
    entry('directory', './'),
    file('./old'),
    entry('link', './own', { link: Buffer.from('../../precious/file') }),
    file('./own'),
  ]);
  expect(readFileSync(join(base, 'precious/file'), 'utf8')).toBe('mine');
  for (const name of ['old', 'own']) expect(lstatSync(join(base, 'out/tree', name)).isFile()).toBe(true);
});

it('a directory that was there as a link is not gone into', async () => {
  mkdirSync(join(base, 'out/tree'), { recursive: true });
  symlinkSync(join(base, 'precious'), join(base, 'out/tree/sub'));
  await expect(unpack([entry('directory', './'), file('./sub/file')])).rejects.toThrow();
  expect(readFileSync(join(base, 'precious/file'), 'utf8')).toBe('mine');
});

it('devices and FIFOs are left out and told, set-id bits are dropped', async () => {
  await unpack([
    entry('directory', './', { mode: 0o2700 }),
    typed('3', './disk'),
    typed('6', './pipe'),
    file('./run', 'x', { mode: 0o6755 }),
  ]);
  expect(readdirSync(join(base, 'out'))).toEqual(['run']);
  expect(statSync(join(base, 'out/run')).mode & 0o7000).toBe(0);
  expect(statSync(join(base, 'out')).mode & 0o7077).toBe(0);
  expect(left).toHaveLength(2);
});

it.each([
  ['cut short', (archive: Buffer) => archive.subarray(0, 600)],
  ['damaged', (archive: Buffer) => Buffer.from(archive).fill(0xff, 0, 100)],
])('an archive that is %s is told as that', async (_, harm) => {
  const archive = harm(Buffer.concat([file('./a', 'x'.repeat(2000)), END]));
  await expect(
    unpackTree(pieces(archive), join(base, 'out'), { name: '', keepsOwners: false, leftOut() {} }),
  ).rejects.toMatchObject({ code: 'protocol' });
});

it('what was packed here is unpacked the same, names that are no text too', async () => {
  const source = join(base, 'source');
  mkdirSync(join(source, 'd'.repeat(200)), { recursive: true });
  const odd = Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff, 0x0a, 0x41])]);
  writeFileSync(odd, 'odd');
  writeFileSync(join(source, 'd'.repeat(200), 'f'), 'long', { mode: 0o640 });
  symlinkSync('/nowhere', join(source, 'link'));
  const parts: Buffer[] = [];
  for await (const part of packTree(source, () => {})) parts.push(part);
  await unpackTree(pieces(Buffer.concat(parts)), join(base, 'out'), { name: '', keepsOwners: false, leftOut() {} });
  expect(readdirSync(join(base, 'out'), { encoding: 'buffer' }).sort(Buffer.compare)).toEqual(
    readdirSync(source, { encoding: 'buffer' }).sort(Buffer.compare),
  );
  expect(statSync(join(base, 'out', 'd'.repeat(200), 'f')).mode & 0o777).toBe(0o640);
  expect(lstatSync(join(base, 'out/link')).isSymbolicLink()).toBe(true);
});

it('a file goes where docker puts it', async () => {
  mkdirSync(join(base, 'there'));
  await unpack([file('.')], 'there', 'name');
  await unpack([file('.')], 'precious/file', 'name');
  await unpack([file('.')], 'fresh', 'name');
  for (const path of ['there/name', 'precious/file', 'fresh'])
    expect(readFileSync(join(base, path), 'utf8')).toBe('evil');
  await expect(unpack([file('.')], 'none/', 'name')).rejects.toMatchObject({ code: 'not-found' });
  await expect(unpack([entry('directory', './')], 'fresh', 'name')).rejects.toMatchObject({ code: 'invalid' });
  expect(existsSync(join(base, 'none'))).toBe(false);
});
