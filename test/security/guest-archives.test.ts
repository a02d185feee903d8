/** What pk-init makes of archives, and archives of what it finds: run on this machine, below a directory, against GNU tar. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  globSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { toolPath } from '../../src/sys/tools.ts';
import { nativeProgram } from '../support/native.ts';

const agent = await nativeProgram('pk-init');
let base: string;
let source: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'pk-archives-'));
  source = join(base, 'source');
  mkdirSync(join(source, 'deep', 'n'.repeat(180)), { recursive: true });
  writeFileSync(join(source, 'deep', 'n'.repeat(180), 'file'), 'x'.repeat(1_100_000), { mode: 0o600 });
  writeFileSync(join(source, 'program'), '#!/bin/sh\n', { mode: 0o755 });
  symlinkSync('/etc/passwd', join(source, 'link'));
  symlinkSync('t'.repeat(150), join(source, 'long'));
  mkdirSync(join(base, 'precious'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const pack = (path: string, name: string) => execFileSync(agent, ['pack', path, name], { maxBuffer: 1e8 });
const unpack = (archive: Buffer, path: string, name = '', words = '') => {
  const { status, stderr } = spawnSync(agent, ['unpack', path, name, words], { input: archive, encoding: 'utf8' });
  return { status, stderr };
};
const tar = (...args: string[]) => execFileSync('tar', args, { maxBuffer: 1e8 });
const same = (one: string, other: string) =>
  expect(spawnSync('diff', ['-r', '--no-dereference', one, other], { encoding: 'utf8' }).stdout).toBe('');

it('GNU tar reads what it packs', () => {
  mkdirSync(join(base, 'out'));
  execFileSync('tar', ['-C', join(base, 'out'), '-xf', '-'], { input: pack(source, 'made') });
  same(source, join(base, 'out/made'));
});

it.each(['gnu', 'pax', 'ustar'])('it reads the format %s of GNU tar', (format) => {
  if (format === 'ustar') rmSync(join(source, 'long'));
  if (format === 'ustar') rmSync(join(source, 'deep'), { recursive: true });
  mkdirSync(join(base, 'out'));
  const archive = tar('-C', source, `--format=${format}`, '-cf', '-', '.');
  expect(unpack(archive, join(base, 'out'), '', 'd')).toEqual({ status: 0, stderr: '' });
  same(source, join(base, 'out'));
});

it('hard links stay within the tree, modes and owners are as asked', () => {
  writeFileSync(join(source, 'setuid'), '');
  execFileSync('chmod', ['4755', join(source, 'setuid')]);
  execFileSync('ln', [join(source, 'program'), join(source, 'twin')]);
  const archive = tar('-C', source, '-cf', '-', '.');
  for (const [out, words, bits] of [
    ['plain', '', 0],
    ['owned', 'o', 0o4000],
  ] as const) {
    if (words === 'o' && process.getuid?.() !== 0) continue;
    expect(unpack(archive, join(base, out), '', words).status).toBe(0);
    expect(statSync(join(base, out, 'setuid')).mode & 0o7000).toBe(bits);
    expect(statSync(join(base, out, 'twin')).ino).toBe(statSync(join(base, out, 'program')).ino);
  }
});

it.runIf(process.getuid?.() === 0)('a device that an archive has is for root alone, unless modes are as asked', () => {
  writeFileSync(join(source, 'device'), '');
  const archive = tar('-C', source, '--format=ustar', '-cf', '-', 'device');
  // Now it is null(4), for everybody.
  archive.write('0000666', 100, 'latin1');
  archive.write('        3', 148, 'latin1');
  archive.write('0000001\x000000003', 329, 'latin1');
  const sum = archive.subarray(0, 512).reduce((all, byte) => all + byte, 0);
  archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  for (const [out, words, mode] of [
    ['plain', 'd', 0o600],
    ['owned', 'do', 0o666],
  ] as const) {
    mkdirSync(join(base, out));
    expect(unpack(archive, join(base, out), '', words)).toEqual({ status: 0, stderr: '' });
    const made = lstatSync(join(base, out, 'device'));
    expect([made.isCharacterDevice(), made.mode & 0o777]).toEqual([true, mode]);
  }
});

it('no name leads out of the directory', () => {
  mkdirSync(join(base, 'out'));
  writeFileSync(join(base, 'precious/file'), 'mine');
  const up = tar('-C', source, '-cPf', '-', '--transform=s,^,../precious/,', 'program');
  expect(unpack(up, join(base, 'out'), '', 'd').stderr).toContain('`..`');
  symlinkSync('../precious', join(base, 'out/way'));
  mkdirSync(join(base, 'evil/way'), { recursive: true });
  writeFileSync(join(base, 'evil/way/file'), 'evil');
  const through = tar('-C', join(base, 'evil'), '-cf', '-', 'way/file');
  expect(unpack(through, join(base, 'out'), '', 'd').status).toBe(1);
  expect(readFileSync(join(base, 'precious/file'), 'utf8')).toBe('mine');
  expect(existsSync(join(base, 'precious/program'))).toBe(false);
});

it('what is there decides what becomes of it, as with docker', () => {
  mkdirSync(join(base, 'there'));
  writeFileSync(join(base, 'file'), 'old');
  symlinkSync('file', join(base, 'way'));
  const [tree, one] = [pack(source, '.'), pack(join(source, 'program'), '.')];
  expect(unpack(tree, join(base, 'there'), 'name').status).toBe(0);
  same(source, join(base, 'there/name'));
  expect(unpack(tree, join(base, 'fresh'), 'name').status).toBe(0);
  same(source, join(base, 'fresh'));
  expect(unpack(one, join(base, 'way'), 'name').status).toBe(0);
  expect([lstatSync(join(base, 'way')).isSymbolicLink(), readFileSync(join(base, 'file'), 'utf8')]).toEqual([
    true,
    '#!/bin/sh\n',
  ]);
  expect(unpack(one, join(base, 'none/'), 'name').stderr).toMatch(/^errno=2 /);
  expect(unpack(tree, join(base, 'file'), 'name').stderr).toMatch(/^errno=20 /);
  expect(unpack(tree, join(base, 'nowhere'), '', 'd').stderr).toMatch(/^errno=2 /);
  rmSync(join(base, 'there/name/program'));
  mkdirSync(join(base, 'there/name/program'));
  expect(unpack(tree, join(base, 'there'), 'name').stderr).toBe(`errno=21 ${base}/there/name/./program\n`);
  expect(readlinkSync(join(base, 'fresh/link'))).toBe('/etc/passwd');
});

it('what is no archive, or not all of one, is told', () => {
  const archive = pack(source, '.');
  expect(unpack(Buffer.from('no archive'.repeat(100)), join(base, 'out')).stderr).toContain('no tar archive');
  expect(unpack(archive.subarray(0, 2000), join(base, 'out')).stderr).toContain('cut short');
  expect(spawnSync(agent, ['pack', join(base, 'nowhere'), '.'], { encoding: 'utf8' }).stderr).toMatch(/^errno=2 /);
});

it('files of the kernel, which do not say how long they are, are read to their end', () => {
  const archive = pack('/proc/self/mountinfo', '.');
  expect(archive.length).toBeGreaterThan(1536);
});

it('those of sysfs have what can be read of them, and not what they say', () => {
  const [file] = globSync('/sys/kernel/mm/transparent_hugepage/enabled').concat('/proc/version') as [string];
  expect(unpack(pack(file, '.'), join(base, 'file')).status).toBe(0);
  expect(readFileSync(join(base, 'file'), 'utf8')).toBe(readFileSync(file, 'utf8'));
});

it.each([
  ['/dev/zero', 'a device'],
  ['fifo', 'a FIFO'],
])('%s is refused as %s', (name, what) => {
  execFileSync(toolPath('mkfifo').path, [join(base, 'fifo')]);
  const path = name.startsWith('/') ? name : join(base, name);
  const { status, stdout, stderr } = spawnSync(agent, ['pack', path, '.'], { encoding: 'utf8' });
  expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: `refused=${what}\n` });
});

it('further names of a file are links, and GNU tar makes them again', () => {
  linkSync(join(source, 'program'), join(source, 'deep/twin'));
  const archive = pack(source, '.');
  mkdirSync(join(base, 'theirs'));
  execFileSync('tar', ['-C', join(base, 'theirs'), '-xf', '-'], { input: archive });
  expect(unpack(archive, join(base, 'ours')).status).toBe(0);
  for (const out of ['theirs', 'ours'])
    expect(statSync(join(base, out, 'deep/twin')).ino).toBe(statSync(join(base, out, 'program')).ino);
});

it.each(['tar', 'pack'])('directories of %s have their times and modes when all is there', (how) => {
  chmodSync(join(source, 'deep'), 0o555);
  for (const path of ['deep', 'program', '.']) utimesSync(join(source, path), 1e9, 1e9);
  const archive = how === 'pack' ? pack(source, '.') : tar('-C', source, '-cf', '-', '.');
  expect(unpack(archive, join(base, 'fresh')).status).toBe(0);
  for (const path of ['deep', 'program', '.']) expect(statSync(join(base, 'fresh', path)).mtimeMs).toBe(1e12);
  expect(statSync(join(base, 'fresh/deep')).mode & 0o777).toBe(0o555);
  expect(Math.floor(lstatSync(join(base, 'fresh/link')).mtimeMs / 1000)).toBe(
    Math.floor(lstatSync(join(source, 'link')).mtimeMs / 1000),
  );
  for (const path of [source, join(base, 'fresh')]) chmodSync(join(path, 'deep'), 0o755);
});

it('what breaks off leaves no half file, and what was there as it was', () => {
  mkdirSync(join(base, 'out'));
  for (const name of ['file', 'program']) writeFileSync(join(base, 'out', name), 'old');
  const half = pack(join(source, 'deep', 'n'.repeat(180), 'file'), 'file').subarray(0, 50_000);
  const alone = pack(join(source, 'deep', 'n'.repeat(180), 'file'), '.').subarray(0, 50_000);
  expect(unpack(half, join(base, 'out')).stderr).toContain('cut short');
  expect(unpack(alone, join(base, 'out/file')).stderr).toContain('cut short');
  expect(unpack(alone, join(base, 'out/fresh')).stderr).toContain('cut short');
  expect(readdirSync(join(base, 'out')).sort()).toEqual(['file', 'program']);
  expect(readFileSync(join(base, 'out/file'), 'utf8')).toBe('old');
  // Its other names are to be of the same file still.
  linkSync(join(base, 'out/file'), join(base, 'also'));
  expect(unpack(pack(join(source, 'program'), '.'), join(base, 'out/file')).status).toBe(0);
  expect(readFileSync(join(base, 'also'), 'utf8')).toBe('#!/bin/sh\n');
});
