import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runTool } from '../../test/support/tools.ts';
import { run } from '../sys/process.ts';
import { ModuleTrees } from './module-tree.ts';
import { readWhole } from './modules.ts';
import { readModules, statedSize } from './packed-modules.ts';
import { kernelModule } from './testing.ts';

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-tree-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const put = (path: string, bytes: Buffer | string) => {
  mkdirSync(dirname(join(base, path)), { recursive: true });
  writeFileSync(join(base, path), bytes);
  return join(base, path);
};
const xz = async (bytes: Buffer) => (await runTool('xz', ['-c', '--check=crc32'], { input: bytes })).stdoutBytes;

describe('ModuleTrees', () => {
  const task = () => ({
    directory: join(base, 'given'),
    version: '6.1.0-test',
    builtin: new Set(['unix']),
    isOurs: false,
  });

  it('lays modules out unpacked, with lists, and the same ones once', async () => {
    put('given/kernel/a.ko.xz', await xz(kernelModule('')));
    put('given/kernel/b-c.ko.zst', zstdCompressSync(kernelModule('a', '6.1.0-test', ['alias=other'])));
    put('given/kernel/d.ko', kernelModule('b-c'));
    put('given/modules.builtin', 'kernel/unix.ko\n');
    // What an update left, what leads elsewhere, and what no list can name.
    put('given/kernel/old.ko', kernelModule('', '6.0.0'));
    symlinkSync('/etc/passwd', join(base, 'given/kernel/link.ko'));
    put('given/odd dir/e.ko', kernelModule(''));
    const trees = new ModuleTrees(join(base, 'store'));
    mkdirSync(join(base, 'store'));
    const tree = (await trees.make(task(), join(base, 'store/one')))!;
    const path = trees.find(tree)!;
    expect(readFileSync(join(path, 'modules.dep'), 'utf8')).toBe(
      'kernel/a.ko:\nkernel/b-c.ko: kernel/a.ko\nkernel/d.ko: kernel/b-c.ko kernel/a.ko\n',
    );
    expect(readFileSync(join(path, 'kernel/b-c.ko'))).toEqual(kernelModule('a', '6.1.0-test', ['alias=other']));
    expect(readFileSync(join(path, 'modules.builtin'), 'utf8')).toBe('kernel/unix.ko\n');
    expect(statSync(join(path, 'kernel/d.ko')).nlink).toBe(1);
    expect(await trees.make(task(), join(base, 'store/two'))).toEqual(tree);
    await trees.collect(new Set([tree.sha256]));
    expect(trees.find(tree)).toBe(path);
    await trees.collect(new Set());
    expect(trees.find(tree)).toBeUndefined();
  });

  it('reads no file through a link that took its place since it was looked at', async () => {
    const secret = put('secret', kernelModule(''));
    mkdirSync(join(base, 'given'));
    for (const name of ['modules.order', 'a.ko', 'b.ko.zst']) {
      symlinkSync(secret, join(base, 'given', name));
      expect(() => readWhole(join(base, 'given', name), 1e6)).toThrow(/not a regular file/);
    }
    const paths = ['a.ko', 'b.ko.zst'].map((name) => join(base, 'given', name));
    for (const path of paths) await expect(Array.fromAsync(readModules([path]))).rejects.toThrow(/not a regular file/);
  });

  it('takes files of ours as they lie, whatever rights they have', async () => {
    const given = put('given/kernel/a.ko', kernelModule(''));
    linkSync(given, join(base, 'same'));
    await run(['chmod', '4700', given]);
    const trees = new ModuleTrees(base);
    const path = trees.find(await trees.make({ ...task(), isOurs: true }, join(base, 'scratch')))!;
    expect(statSync(join(path, 'kernel/a.ko')).ino).toBe(statSync(given).ino);
    expect(statSync(join(path, 'kernel/a.ko')).mode & 0o7777).toBe(0o644);
  });

  it('makes none of nothing, and says which module is damaged', async () => {
    const trees = new ModuleTrees(base);
    mkdirSync(join(base, 'given'));
    expect(await trees.make(task(), join(base, 'one'))).toBeUndefined();
    put('given/bad.ko', 'no module');
    await expect(trees.make(task(), join(base, 'two'))).rejects.toMatchObject({ code: 'invalid', message: /bad\.ko/ });
  });
});

describe('readModules', () => {
  it('reads packed ones, many at once', async () => {
    const contents = new Map<string, Buffer>();
    for (let index = 0; index < 12; index += 1) {
      const bytes = Buffer.alloc(1000 * index + 1, `module ${index}`);
      const packed = [bytes, gzipSync(bytes), zstdCompressSync(bytes), await xz(bytes)][index % 4]!;
      contents.set(put(`${index}.ko${['', '.gz', '.zst', '.xz'][index % 4]}`, packed), bytes);
    }
    const read = new Map<string, Buffer>();
    for await (const { path, bytes } of readModules([...contents.keys()])) read.set(path, Buffer.from(bytes));
    expect(new Map([...read].sort())).toEqual(new Map([...contents].sort()));
  });

  it('refuses one whose size is not what it states', async () => {
    const packed = gzipSync(Buffer.alloc(5000));
    packed.writeUInt32LE(4999, packed.length - 4);
    const reading = readModules([put('a.ko.gz', packed)])
      [Symbol.asyncIterator]()
      .next();
    await expect(reading).rejects.toMatchObject({ code: 'invalid' });
  });

  it.each([0, 1, 200, 300, 70_000])('knows of %i bytes what they become', async (length) => {
    const bytes = Buffer.alloc(length, 'x');
    expect(statedSize('.gz', gzipSync(bytes))).toBe(length);
    expect(statedSize('.xz', await xz(bytes))).toBe(length);
    const stated = statedSize('.zst', zstdCompressSync(bytes, { pledgedSrcSize: length }));
    expect(stated === undefined || stated === length).toBe(true);
    expect(statedSize('.xz', bytes)).toBeUndefined();
  });
});
