/** `pk cp` out of a hostile guest: whatever its archive says, nothing but what was named is written here. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
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
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Entry, encodeEntry, padding } from '../../src/cli/instance/tree/blocks.ts';
import { packTree } from '../../src/cli/instance/tree/pack.ts';
import { partialName } from '../../src/cli/instance/tree/partial.ts';
import { unpackTree } from '../../src/cli/instance/tree/unpack.ts';
import { whole } from '../../src/cli/instance/tree/whole.ts';
import type { InstanceDetails } from '../../src/instance/contract.ts';

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

it('a hard link is made of what came before in the archive, and of nothing that was there', async () => {
  const link = (to: string) => entry('hard', './h', { link: Buffer.from(to) });
  await expect(unpack([entry('directory', './'), link('./file')], 'precious', '')).rejects.toThrow('not in it before');
  expect(readdirSync(join(base, 'precious'))).toEqual(['file']);
  await unpack([entry('directory', './'), file('./a'), link('./a')], 'fresh');
  expect(statSync(join(base, 'fresh/h')).ino).toBe(statSync(join(base, 'fresh/a')).ino);
});

it.runIf(process.getuid?.() === 0)('a hard link is made of no file of another mount, whatever its number', async () => {
  const mounted = ['to', 'to/inner'].map((name) => join(base, name));
  try {
    for (const place of mounted) {
      mkdirSync(place);
      execFileSync('mount', ['-t', 'tmpfs', 'trees', place]);
    }
    for (const name of ['other', 'mine']) writeFileSync(join(base, 'to/inner', name), 'mine');
    const { ino } = statSync(join(base, 'to/inner/mine'));
    const names = Array.from({ length: 16 }, (_, at) => `file${at}`);
    const link = entry('hard', 'inner/more', { link: Buffer.from('inner/mine') });
    const unpacked = unpack([...names.map((name) => file(name)), link], 'to', '');
    await expect(unpacked).rejects.toThrow('not in it before');
    expect(names.map((name) => statSync(join(base, 'to', name)).ino)).toContain(ino);
    expect(statSync(join(base, 'to/inner/mine')).nlink).toBe(1);
  } finally {
    for (const place of mounted.reverse()) spawnSync('umount', [place]);
  }
});

it('links among files, times and modes of directories come out as they went in', async () => {
  const source = join(base, 'source');
  mkdirSync(join(source, 'shut/sub'), { recursive: true });
  writeFileSync(join(source, 'shut/one'), 'x');
  writeFileSync(join(source, 'large'), Buffer.alloc(1_100_000, 'large'));
  linkSync(join(source, 'shut/one'), join(source, 'shut/sub/two'));
  symlinkSync('one', join(source, 'shut/link'));
  chmodSync(join(source, 'shut'), 0o555);
  for (const path of ['shut/one', 'shut/sub', 'shut', '.']) utimesSync(join(source, path), 1e9, 1e9);
  const parts: Buffer[] = [];
  for await (const part of packTree(source, () => {})) parts.push(part);
  await unpackTree(pieces(Buffer.concat(parts)), join(base, 'out'), { name: '', keepsOwners: false, leftOut() {} });
  const at = (path: string) => lstatSync(join(base, 'out', path));
  expect(at('shut/one').ino).toBe(at('shut/sub/two').ino);
  expect(at('shut').mode & 0o777).toBe(0o555);
  expect(readFileSync(join(base, 'out/large')).equals(readFileSync(join(source, 'large')))).toBe(true);
  for (const path of ['.', 'shut', 'shut/one', 'shut/sub']) expect(at(path).mtimeMs).toBe(1e12);
  expect(at('shut/link').mtimeMs).toBe(Math.floor(lstatSync(join(source, 'shut/link')).mtimeMs / 1000) * 1000);
  chmodSync(join(base, 'out/shut'), 0o755);
  chmodSync(join(source, 'shut'), 0o755);
});

it('times before 1970 and after 2242, and sticky bits come out as they went in', async () => {
  const source = join(base, 'source');
  mkdirSync(join(source, 'sub'), { recursive: true });
  const times = {
    'sub/old': -86_400,
    'sub/oldest': -(2 ** 31),
    'sub/new': 2 ** 32 + 5,
    'sub/newest': 8 ** 11 + 7,
    sub: -5,
  };
  for (const [path, seconds] of Object.entries(times)) {
    if (path !== 'sub') writeFileSync(join(source, path), 'x');
    utimesSync(join(source, path), '1', `${seconds}`);
  }
  chmodSync(join(source, 'sub/old'), 0o1644);
  chmodSync(join(source, 'sub'), 0o1555);
  const parts: Buffer[] = [];
  for await (const part of packTree(source, () => {})) parts.push(part);
  const archive = Buffer.concat(parts);
  await unpackTree(pieces(archive), join(base, 'out'), { name: '', keepsOwners: false, leftOut() {} });
  const listed = execFileSync('tar', ['-tv', '--utc', '--full-time'], { input: archive, encoding: 'utf8' });
  for (const [path, seconds] of Object.entries(times)) {
    expect(lstatSync(join(base, 'out', path)).mtimeMs, path).toBe(seconds * 1000);
    const said = new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
    expect(listed).toMatch(new RegExp(` ${said} \\./${path}/?$`, 'm'));
  }
  expect(lstatSync(join(base, 'out/sub/old')).mode & 0o7777).toBe(0o1644);
  expect(lstatSync(join(base, 'out/sub')).mode & 0o7777).toBe(0o1555);
});

it('what breaks off leaves no half file, and what was there as it was', async () => {
  chmodSync(join(base, 'precious/file'), 0o604);
  const half = Buffer.concat([entry('file', '.', { size: 5000 }), Buffer.alloc(3000)]);
  for (const path of ['precious', 'precious/file', 'precious/fresh'])
    await expect(
      unpackTree(pieces(half), join(base, path), { name: 'half', keepsOwners: false, leftOut() {} }),
    ).rejects.toMatchObject({ code: 'protocol' });
  expect(readdirSync(join(base, 'precious'))).toEqual(['file']);
  expect(readFileSync(join(base, 'precious/file'), 'utf8')).toBe('mine');
  await unpack([file('.', 'new', { mode: 0o4755 })], 'precious/file');
  expect(readFileSync(join(base, 'precious/file'), 'utf8')).toBe('new');
  expect(statSync(join(base, 'precious/file')).mode & 0o7777).toBe(0o604);
});

it('what a copy that was killed has left goes with the next one, and nothing else', async () => {
  const own = `${partialName()}`;
  const gone = spawnSync('true').pid;
  const left = own.replace(/-\d+-(\d+)-/, `-${gone}-$1-`);
  const others = own.replace(/^\.pk-cp-.{16}/, `.pk-cp-${'5'.repeat(16)}`).replace(/-\d+-(\d+)-/, `-${gone}-$1-`);
  const older = `.pk-cp-${'0'.repeat(16)}`;
  const names = [own, left, others, older];
  for (const directory of ['precious', 'out', 'out/sub']) {
    mkdirSync(join(base, directory), { recursive: true });
    for (const name of names) writeFileSync(join(base, directory, name), 'x');
  }
  await unpack([file('.', 'new')], 'precious/file');
  await unpack([entry('directory', './'), entry('directory', './sub/'), file('./sub/a')], 'out', '');
  const kept = names.filter((name) => name !== left).sort();
  expect(readdirSync(join(base, 'precious')).sort()).toEqual([...kept, 'file'].sort());
  expect(readdirSync(join(base, 'out')).sort()).toEqual([...kept, 'sub'].sort());
  expect(readdirSync(join(base, 'out/sub')).sort()).toEqual([...kept, 'a'].sort());
});

it('a file with other names, and a link, are written where they are', async () => {
  linkSync(join(base, 'precious/file'), join(base, 'also'));
  symlinkSync('also', join(base, 'link'));
  await unpack([file('.', 'new')], 'link');
  expect(readFileSync(join(base, 'precious/file'), 'utf8')).toBe('new');
  expect(lstatSync(join(base, 'link')).isSymbolicLink()).toBe(true);
});

it('what is neither file nor directory is refused, and a file that says no size is copied whole', async () => {
  await expect(packTree('/dev/zero', () => {}).next()).rejects.toMatchObject({
    code: 'invalid',
    message: '/dev/zero is a device, and no file or directory',
    hint: expect.stringContaining('pk exec -i'),
  });
  await expect(unpack([typed('3', '.')])).rejects.toMatchObject({ code: 'invalid' });
  await expect(unpack([])).rejects.toMatchObject({ code: 'protocol' });
  const parts: Buffer[] = [];
  for await (const part of packTree('/proc/version', () => {})) parts.push(part);
  await unpackTree(pieces(Buffer.concat(parts)), join(base, 'version'), { name: '', keepsOwners: false, leftOut() {} });
  expect(readFileSync(join(base, 'version'), 'utf8')).toBe(readFileSync('/proc/version', 'utf8'));
});

it.each([
  [{ state: 'running', startedAt: null }, 'protocol', /the guest could not read on/],
  [{ state: 'exited', startedAt: null, exit: { message: 'killed' } }, 'kernel-died', /its kernel has ended \(killed\)/],
  [{ state: 'running', startedAt: new Date(2e12).toISOString(), exit: null }, 'kernel-died', /its kernel has ended/],
])('the file at which an archive breaks off is named, with %o', async (status, code, why) => {
  const long = `./${'d'.repeat(120)}/name`;
  async function* broken() {
    yield* pieces(Buffer.concat([entry('directory', './'), file('./first', 'x'.repeat(3000))]));
    yield* pieces(Buffer.concat([entry('file', long, { size: 5000 }), Buffer.alloc(900)]));
    throw new Error('aborted');
  }
  const client = { inspect: async () => status as unknown as InstanceDetails };
  const reading = buffer(whole(broken(), { client, name: 'web', path: '/srv/', begunMs: 1e12 }));
  await expect(reading).rejects.toMatchObject({
    code,
    message: expect.stringMatching(why),
    value: `/srv/${long.slice(2)}`,
  });
});

it('no name of a guest makes a line of its own among what is told', async () => {
  const name = './a\npk: all is well\x1b[2J';
  await unpack([entry('directory', './'), typed('6', name)]);
  expect(left).toEqual([`${join(base, 'out')}/a pk: all is well is a device or a FIFO: left out`]);
  const refused = await Promise.all(
    [entry('hard', './b', { link: Buffer.from(name) }), file(`${name}/../../x`), file(`${name}/`.repeat(200))].map(
      (each, at) => unpack([entry('directory', './'), each], `out${at}`).then(String, String),
    ),
  );
  for (const control of ['\n', '\x1b']) for (const text of refused) expect(text).not.toContain(control);
});

it.runIf(process.getuid?.() === 0)(
  'of a file on which something is mounted is not what another user puts in the place of the begun one',
  async () => {
    const [into, mounted] = [join(base, 'into'), join(base, 'mounted')];
    mkdirSync(into);
    for (const path of [join(into, 'x'), mounted]) writeFileSync(path, 'before, and longer');
    execFileSync('mount', ['--bind', mounted, join(into, 'x')]);
    async function* archive() {
      yield file('.').subarray(0, 514);
      const begun = join(into, readdirSync(into).find((name) => name.startsWith('.pk-cp-'))!);
      rmSync(begun);
      symlinkSync('../precious/file', begun);
      yield Buffer.concat([file('.').subarray(514), END]);
    }
    try {
      await unpackTree(archive(), into, { name: 'x', keepsOwners: false, leftOut: () => {} });
    } finally {
      execFileSync('umount', [join(into, 'x')]);
    }
    expect(readFileSync(mounted, 'utf8')).toBe('evil');
    expect(readdirSync(into)).toEqual(['x']);
  },
);
