import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../sys/process.ts';
import { detectRoot, prepareRoot } from './rootfs.ts';

let directory: string;
let cache: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-rootfs-'));
  cache = join(directory, 'cache');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

type Entry = Partial<Header> & { name: string; body?: string };

async function tar(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { body, ...header } of entries) archive.entry(header as Header, body ?? '');
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function file(name: string, bytes: Buffer): string {
  writeFileSync(join(directory, name), bytes);
  return join(directory, name);
}

const SAMPLE: Entry[] = [
  { name: './', type: 'directory', mode: 0o755 },
  { name: 'usr/', type: 'directory', mode: 0o555, mtime: new Date(1e12) },
  { name: 'usr/bin/', type: 'directory', mode: 0o755 },
  { name: 'bin', type: 'symlink', linkname: '/usr/bin' },
  { name: 'bin/tool', mode: 0o4755, body: '#!tool', mtime: new Date(1e12) },
  { name: 'usr/copy', type: 'link', linkname: 'bin/tool' },
  { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
];

describe('prepareRoot', () => {
  const packers: [string, (bytes: Buffer) => Buffer | Promise<Buffer>][] = [
    ['tar', (bytes) => bytes],
    ['tar.gz', (bytes) => gzipSync(bytes)],
    ['tar.zst', (bytes) => zstdCompressSync(bytes)],
    ['tar.xz', async (bytes) => (await run(['xz', '-c'], { input: bytes })).stdoutBytes],
  ];
  it.each(packers)('unpacks a %s once', async (format, packer) => {
    const path = file('root', await packer(await tar(SAMPLE)));
    expect(detectRoot(readFileSync(path))).toBe(format);
    const lines: string[] = [];
    const root = await prepareRoot(path, { cache, progress: (line) => lines.push(line) });
    expect(root.kind).toBe('directory');
    const at = (name: string) => join((root as { path: string }).path, name);
    expect(readFileSync(at('usr/bin/tool'), 'utf8')).toBe('#!tool');
    expect(statSync(at('usr/bin/tool')).mode & 0o7777).toBe(0o4755);
    expect(statSync(at('usr/bin/tool')).ino).toBe(statSync(at('usr/copy')).ino);
    expect(readlinkSync(at('bin'))).toBe('/usr/bin');
    expect(statSync(at('usr')).mode & 0o7777).toBe(0o555);
    expect(statSync(at('usr')).mtimeMs).toBe(1e12);
    expect(readdirSync(at('dev'))).toEqual([]);
    expect(await prepareRoot(path, { cache, progress: (line) => lines.push(line) })).toEqual(root);
    expect(lines).toHaveLength(1);
  });

  const hostile: [string, Entry[], RegExp][] = [
    ['a name with ..', [{ name: '../escaped', body: 'x' }], /leaves the archive/],
    ['a hard link out', [{ name: 'passwd', type: 'link', linkname: '../../../../etc/passwd' }], /leaves the archive/],
    [
      'a loop of links',
      [
        { name: 'a', type: 'symlink', linkname: 'b' },
        { name: 'b', type: 'symlink', linkname: 'a' },
        { name: 'a/x', body: 'x' },
      ],
      /loop of symbolic links/,
    ],
    [
      'an entry below a file',
      [
        { name: 'a', body: 'x' },
        { name: 'a/b', body: 'x' },
      ],
      /which is a file/,
    ],
    [
      'a container image',
      [
        { name: 'manifest.json', body: '[]' },
        { name: 'layer.tar', body: 'x' },
      ],
      /container image/,
    ],
    ['nothing', [], /no tar, squashfs or ext4/],
  ];
  it.each(hostile)('refuses an archive with %s and leaves nothing', async (_, entries, reason) => {
    const path = file('root.tar', await tar(entries));
    await expect(prepareRoot(path, { cache })).rejects.toMatchObject({
      code: 'invalid',
      field: '--rootfs',
      message: expect.stringMatching(reason),
    });
    expect(readdirSync(directory).filter((name) => !['cache', 'root.tar'].includes(name))).toEqual([]);
  });

  it('keeps what symbolic links point to inside', async () => {
    const outside = join(directory, 'outside');
    mkdirSync(outside);
    const path = file(
      'root.tar',
      await tar([
        { name: 'up', type: 'symlink', linkname: '../../../../../../..' },
        { name: 'abs', type: 'symlink', linkname: outside },
        { name: `up${outside}/one`, body: 'x' },
        { name: 'abs/two', body: 'x' },
        { name: 'self', type: 'symlink', linkname: join(outside, 'three') },
        { name: 'self', body: 'replaced the link' },
      ]),
    );
    const root = (await prepareRoot(path, { cache })) as { path: string };
    expect(readdirSync(outside)).toEqual([]);
    expect(readFileSync(join(root.path, outside, 'one'), 'utf8')).toBe('x');
    expect(readFileSync(join(root.path, outside, 'two'), 'utf8')).toBe('x');
    expect(lstatSync(join(root.path, 'self')).isFile()).toBe(true);
  });

  it('takes directories and disk images as they are', async () => {
    expect(await prepareRoot(directory)).toEqual({ kind: 'directory', path: directory });
    const squashfs = file('a', Buffer.concat([Buffer.from('hsqs'), Buffer.alloc(4096)]));
    expect(await prepareRoot(squashfs)).toEqual({ kind: 'squashfs', path: squashfs });
    const ext4 = Buffer.alloc(4096);
    ext4.writeUInt16LE(0xef53, 1080);
    expect(await prepareRoot(file('b', ext4))).toEqual({ kind: 'ext4', path: join(directory, 'b') });
  });

  it.each([
    ['text', Buffer.from('hello'), 'invalid', /no tar, squashfs or ext4/],
    ['an empty file', Buffer.alloc(0), 'invalid', /no tar, squashfs or ext4/],
    ['a damaged archive', gzipSync(Buffer.alloc(9999)).fill(3, 12, 30), 'invalid', /damaged/],
    ['a compressed non-archive', gzipSync(Buffer.from('hello '.repeat(500))), 'invalid', /damaged|empty/],
  ])('refuses %s', async (_, bytes, code, reason) => {
    const failure = prepareRoot(file('root', bytes), { cache });
    await expect(failure).rejects.toMatchObject({ code, field: '--rootfs', message: expect.stringMatching(reason) });
  });

  it('names a path that is not there', async () => {
    await expect(prepareRoot('/nonexistent/root.tar')).rejects.toMatchObject({
      code: 'not-found',
      field: '--rootfs',
      value: '/nonexistent/root.tar',
    });
  });
});
