import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs, {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nativeProgram } from '../../test/support/native.ts';
import { runTool } from '../../test/support/tools.ts';
import { run } from '../sys/process.ts';
import { toolPath } from '../sys/tools.ts';
import { makeRoom } from './root-cache.ts';
import { takeLease, whileUnleased } from './root-lease.ts';
import { removeTrees } from './root-trees.ts';
import { detectRoot, prepareRoot, type RootOptions } from './rootfs.ts';

let directory: string;
let cache: string;
beforeEach(async () => {
  await nativeProgram('pk-jail');
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
  { name: './', type: 'directory', mode: 0o750, uid: 7, gid: 8 },
  { name: 'usr/', type: 'directory', mode: 0o555, mtime: new Date(1e12) },
  { name: 'usr/bin/', type: 'directory', mode: 0o755 },
  { name: 'bin', type: 'symlink', linkname: '/usr/bin' },
  { name: 'usr/bin/tool', mode: 0o4755, uid: 1000, gid: 1001, body: '#!tool', mtime: new Date(1e12) },
  { name: 'usr/copy', type: 'link', linkname: 'usr/bin/tool' },
  { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
];

/** Much of nothing. */
async function bomb(): Promise<Buffer> {
  const many = Array.from({ length: 20 }, (_, index) => ({ name: `zeros${index}`, body: '\0'.repeat(1 << 20) }));
  return gzipSync(await tar([...SAMPLE, ...many]));
}

/** Images, finished or not, in the cache. */
function left(): string[] {
  return (existsSync(join(cache, 'rootfs')) ? readdirSync(join(cache, 'rootfs')) : []).filter(
    (name) => !['known', 'leases', 'locks'].includes(name),
  );
}

/** Lines of `unsquashfs -ll` by name: mode, owner, size. */
async function listed(image: string): Promise<Map<string, string[]>> {
  const { stdout } = await runTool('unsquashfs', ['-lln', image]);
  const lines = stdout.split('\n').map((line) => line.trim().split(/\s+/));
  return new Map(lines.filter((fields) => fields.length > 5).map((fields) => [fields.slice(5).join(' '), fields]));
}

describe('a root that was given before', () => {
  const seenAt = (path: string) => {
    const { uid, ino } = statSync(path);
    return { path, uid, inode: String(ino) };
  };

  it.each(['directory', 'image', 'archive'])('is no other %s that a link in its place leads to', async (kind) => {
    const image = Buffer.alloc(4096);
    image.write('hsqs');
    for (const name of ['mine', 'secret']) {
      if (kind === 'directory') mkdirSync(join(directory, name));
      else file(name, kind === 'image' ? image : await tar(SAMPLE));
    }
    const path = join(directory, 'mine');
    const seen = seenAt(path);
    if (kind !== 'archive') expect(await prepareRoot(path, { cache, seen })).toMatchObject(seen);
    rmSync(path, { recursive: true });
    symlinkSync('secret', path);
    await expect(prepareRoot(path, { cache, seen })).rejects.toMatchObject({ code: 'conflict', field: '--rootfs' });
    expect(left()).toEqual([]);
  });

  it('is no archive of another owner', async () => {
    const path = file('mine', await tar(SAMPLE));
    const seen = { ...seenAt(path), uid: 4711 };
    await expect(prepareRoot(path, { cache, seen })).rejects.toMatchObject({ code: 'conflict', field: '--rootfs' });
  });
});

describe('prepareRoot', () => {
  const packers: [string, (bytes: Buffer) => Buffer | Promise<Buffer>][] = [
    ['tar', (bytes) => bytes],
    ['tar.gz', (bytes) => gzipSync(bytes)],
    ['tar.zst', (bytes) => zstdCompressSync(bytes)],
    ['tar.xz', async (bytes) => (await runTool('xz', ['-c'], { input: bytes })).stdoutBytes],
  ];
  it.each(packers)('makes a squashfs of a %s once', async (format, packer) => {
    const path = file('root', await packer(await tar(SAMPLE)));
    expect(detectRoot(readFileSync(path))).toBe(format);
    const lines: string[] = [];
    const root = await prepareRoot(path, { cache, progress: (line) => lines.push(line) });
    expect(root.kind).toBe('squashfs');
    const image = (root as { path: string }).path;
    const found = await listed(image);
    const of = (name: string) => found.get(`squashfs-root${name}`)?.slice(0, 2).join(' ');
    expect(of('')).toMatch(/^drwxr-x--- (?:0\/0|7\/8)$/);
    expect(of('/usr')).toBe('dr-xr-xr-x 0/0');
    expect(of('/usr/bin/tool')).toBe('-rwsr-xr-x 1000/1001');
    expect(found.has('squashfs-root/bin -> /usr/bin')).toBe(true);
    expect((await runTool('unsquashfs', ['-cat', image, 'usr/copy'])).stdout).toBe('#!tool');
    expect(await prepareRoot(path, { cache, progress: (line) => lines.push(line) })).toEqual(root);
    expect(lines).toHaveLength(1);
  });

  it('leaves no file of the archive on the host, and its image to its owner alone', async () => {
    const { path } = (await prepareRoot(file('root', await tar(SAMPLE)), { cache })) as { path: string };
    const store = join(cache, 'rootfs');
    expect(statSync(store).mode & 0o777).toBe(0o700);
    expect(statSync(path)).toMatchObject({ uid: process.getuid?.(), gid: process.getgid?.() });
    expect(statSync(path).mode & 0o7022).toBe(0);
    const files = readdirSync(cache, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.map(({ name }) => name.replace(/[0-9a-f]{64}/, 'HASH')).sort()).toEqual([
      'HASH',
      'HASH',
      'HASH',
      'HASH.squashfs',
    ]);
  });

  it('removes what earlier versions unpacked once the host has booted anew: a kernel may still use it', async () => {
    const store = join(cache, 'rootfs');
    const [tree, partial] = ['a'.repeat(64), `${'b'.repeat(64)}.partial`];
    for (const name of [tree, partial]) mkdirSync(join(store, name, 'bin'), { recursive: true });
    const trees = () => readdirSync(store).filter((name) => /^[ab]{64}/.test(name));
    await prepareRoot(file('root', await tar(SAMPLE)), { cache });
    await removeTrees(store);
    expect(trees()).toEqual([tree, partial]);
    await removeTrees(store, 'another boot');
    expect(left()).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.squashfs$/)]);
  });

  it('is refused where the disk has no room for it', async () => {
    const path = file('root.tar', await tar([...SAMPLE, { name: 'large', body: 'x'.repeat(9000) }]));
    const space = () => ({ free: 2 ** 30 + 4096, size: 2 ** 40 });
    await expect(prepareRoot(path, { cache, space })).rejects.toMatchObject({
      code: 'internal',
      value: join(cache, 'rootfs'),
      message: expect.stringMatching(
        /^there is no room for .*root\.tar in .*rootfs: 1 GiB are free there, it needs [\d.]+ KiB, and 1 GiB have to stay free$/,
      ),
    });
    expect(left()).toEqual([]);
  });

  /** In the cache since long ago: enough of it to be over the bound of `room`. */
  const oldImage = (letter: string, hours: number) => {
    const path = join(cache, 'rootfs', `${letter.repeat(64)}.squashfs`);
    mkdirSync(join(cache, 'rootfs'), { recursive: true });
    writeFileSync(path, Buffer.alloc(2 ** 20, 1));
    utimesSync(path, 0, Date.now() / 1000 - hours * 3600);
    return path;
  };
  const room = { space: () => ({ free: 2 ** 40, size: 10 * 2 ** 20 }) };
  const pathOf = async (archive: string, options: RootOptions) =>
    ((await prepareRoot(archive, { cache, ...options })) as { path: string }).path;

  it('evicts the roots that were given longest ago and that nobody uses, and makes them again', async () => {
    const first = await pathOf(file('root', await tar(SAMPLE)), {});
    const store = join(cache, 'rootfs');
    const old = Date.now() / 1000 - 20 * 3600;
    utimesSync(first, 0, old);
    const [used, older, newer] = ['a', 'b', 'c'].map((letter, index) => oldImage(letter, 9 - index));
    const [partial, packing] = ['d', 'e'].map((letter) => join(store, `${letter.repeat(64)}.partial`));
    for (const path of [partial!, packing!]) writeFileSync(path, '');
    utimesSync(partial!, 0, old);
    const lease = await takeLease(store, 'a'.repeat(64));
    try {
      const second = await pathOf(file('other', await tar(SAMPLE.slice(0, 5))), room);
      const at = [used, older, newer, packing, first, second, partial].map((path) => existsSync(path!));
      expect(at).toEqual([true, false, true, true, false, true, false]);
      expect(await prepareRoot(join(directory, 'root'), { cache })).toEqual({ kind: 'squashfs', path: first });
      expect(existsSync(first)).toBe(true);
    } finally {
      closeSync(lease);
    }
  });

  it('evicts none that was given, however long ago, until who holds it lets go', async () => {
    const held: number[] = [];
    const path = file('root', await tar(SAMPLE));
    const given = await pathOf(path, { hold: (lease) => held.push(lease) });
    const again = await pathOf(path, { hold: (lease) => held.push(lease) });
    expect([again, held.length]).toEqual([given, 2]);
    for (const letter of ['b', 'c', 'd']) oldImage(letter, 0);
    const isEvicted = async () => {
      utimesSync(given, 0, 0);
      await makeRoom(join(cache, 'rootfs'), 2 ** 30, room.space);
      return !existsSync(given);
    };
    expect(await isEvicted()).toBe(false);
    closeSync(held.pop()!);
    expect(await isEvicted()).toBe(false);
    closeSync(held.pop()!);
    expect(await isEvicted()).toBe(true);
  });

  it('evicts none that is given once it was looked at', async () => {
    const [other, given] = [oldImage('b', 9), oldImage('c', 8)];
    const lease = await takeLease(join(cache, 'rootfs'), 'c'.repeat(64));
    await run(['flock', '--unlock', '3'], { fds: [lease] });
    try {
      // All images and their times are known when it asks for the space.
      await makeRoom(join(cache, 'rootfs'), 2 ** 30, () => {
        spawnSync('flock', ['--shared', '3'], { stdio: ['ignore', 'ignore', 'ignore', lease] });
        return room.space();
      });
      expect([other, given].map((path) => existsSync(path))).toEqual([false, true]);
    } finally {
      closeSync(lease);
    }
  });

  it('leaves no lease where a root could not be made, nor when its holder was killed', async () => {
    const store = join(cache, 'rootfs');
    const bytes = await tar([{ name: 'manifest.json', body: '[]' }]);
    await expect(prepareRoot(file('root.tar', bytes), { cache })).rejects.toMatchObject({ code: 'invalid' });
    const [hash] = readdirSync(join(store, 'leases'));
    const isFree = () => whileUnleased(store, hash!, async () => {});
    expect(await isFree()).toBe(true);
    const lease = await takeLease(store, hash!);
    const holder = spawn('sleep', ['1000'], { stdio: ['ignore', 'ignore', 'ignore', lease] });
    const ended = once(holder, 'exit');
    closeSync(lease);
    expect(await isFree()).toBe(false);
    holder.kill('SIGKILL');
    await ended;
    expect(await isFree()).toBe(true);
  });

  // A mount of that name in a namespace of his own once kept an image for any user, and looking for it read all of /proc.
  it('takes no notice of what other processes mount', async () => {
    const image = oldImage('a', 9);
    const bind = ['--unshare-user-try', '--ro-bind', '/', '/', '--ro-bind', image, image];
    const bwrap = toolPath('bwrap');
    const stranger = spawn(bwrap.path, [...bind, '--die-with-parent', 'sh', '-c', 'echo up; read line'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...bwrap.env },
    });
    try {
      await once(stranger.stdout!, 'data');
      await makeRoom(join(cache, 'rootfs'), 2 ** 30, room.space);
      expect(existsSync(image)).toBe(false);
    } finally {
      stranger.stdin!.end();
      await once(stranger, 'exit');
    }
  });

  const hostile: [string, Entry[], RegExp][] = [
    ['a name with .. in the middle', [{ name: 'a/../../escaped', body: 'x' }], /pathname can't have/],
    [
      'an entry below a file',
      [
        { name: 'a', body: 'x' },
        { name: 'a/b', body: 'x' },
      ],
      /non-directory/,
    ],
    [
      'one name twice',
      [
        { name: 'a', body: 'x' },
        { name: 'a', body: 'y' },
      ],
      /holds a twice/,
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
    expect(left()).toEqual([]);
  });

  it.each([
    ['bytes of the archive', { archiveBytes: 1000 }, /it is larger than 1000 B/],
    ['bytes unpacked', { bytes: 4096 }, /it is larger than 4096 bytes unpacked/],
    ['entries', { entries: 3 }, /more than 3 entries/],
    ['names in one directory', { names: 5 }, /its directory \/ holds more than 5 names/],
    ['time', { deadlineMs: 1 }, /takes longer than 1ms, which is the bound/],
  ])('holds its bound of %s', async (_, bounds, reason) => {
    const path = file('root.tar.gz', await bomb());
    await expect(prepareRoot(path, { cache, bounds })).rejects.toMatchObject({
      code: 'invalid',
      field: '--rootfs',
      message: expect.stringMatching(reason),
    });
    expect(left()).toEqual([]);
  });

  // A cut archive once kept the lock of the store for ever, and with it every other --rootfs.
  it.each([100, 512, 700, 1536, 2048, 5000])(
    'refuses an archive cut after %i bytes, and others go on',
    async (length) => {
      const whole = await tar([...SAMPLE, { name: 'large', body: 'x'.repeat(9000) }]);
      const cut = prepareRoot(file('cut.tar', whole.subarray(0, length)), { cache });
      await expect(cut).rejects.toMatchObject({ code: 'invalid', field: '--rootfs' });
      expect(left()).toEqual([]);
      expect(await prepareRoot(file('root.tar', whole), { cache })).toMatchObject({ kind: 'squashfs' });
    },
  );

  // Gigabytes of an image are written out, or freed, for as long as the disk takes.
  it.each([
    ['made', SAMPLE],
    ['refused', [...SAMPLE, { name: 'usr/copy', body: 'x' }]],
  ])('holds nobody up with its disk where it is %s', async (_, entries) => {
    const path = file('root.tar', await tar(entries));
    const { closeSync: close, fstatSync: look } = fs;
    const waited: string[] = [];
    const spies = [
      ...(['fsyncSync', 'fdatasyncSync'] as const).map((name) =>
        vi.spyOn(fs, name).mockImplementation(() => void waited.push(name)),
      ),
      vi.spyOn(fs, 'closeSync').mockImplementation((fd) => {
        if (look(fd).nlink === 0) waited.push('the last who had a removed file');
        close(fd);
      }),
    ];
    syncBuiltinESMExports();
    try {
      await prepareRoot(path, { cache }).catch(() => {});
    } finally {
      for (const spy of spies) spy.mockRestore();
      syncBuiltinESMExports();
    }
    expect(waited).toEqual([]);
  });

  it('takes an archive with much behind its end', async () => {
    const path = file('root.tar', Buffer.concat([await tar(SAMPLE), Buffer.alloc(8 << 20)]));
    expect(await prepareRoot(path, { cache })).toMatchObject({ kind: 'squashfs' });
  });

  it('refuses an archive that changes while it is read', async () => {
    const path = file('root.tar', await tar(SAMPLE));
    const other = await tar([...SAMPLE, { name: 'evil', body: 'x' }]);
    const failure = prepareRoot(path, { cache, progress: () => writeFileSync(path, other) });
    await expect(failure).rejects.toMatchObject({ code: 'invalid', message: /changed while it was read/ });
    expect(left()).toEqual([]);
  });

  it('ends with its signal, and others need not wait for it', async () => {
    const stop = new AbortController();
    const path = file('root.tar.gz', await bomb());
    const stopped = prepareRoot(path, { cache, signal: stop.signal, progress: () => stop.abort(new Error('stop')) });
    await expect(stopped).rejects.toThrow('stop');
    expect(left()).toEqual([]);
    expect(await prepareRoot(path, { cache })).toMatchObject({ kind: 'squashfs' });
  });

  it('does not wait at a pipe', async () => {
    const path = join(directory, 'pipe');
    await run(['mkfifo', path]);
    await expect(prepareRoot(path)).rejects.toMatchObject({ code: 'invalid', message: /neither a directory nor/ });
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
    ['a damaged archive', gzipSync(Buffer.alloc(9999)).fill(3, 12, 30), 'invalid', /gzip: .*(?:invalid|format)/],
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
