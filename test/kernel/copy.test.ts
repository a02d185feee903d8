/** `pk cp` of trees, into, out of and between kernels of both drivers, and what goes on without who started it. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../support/harness.ts';
import { finished, Sandbox } from '../support/pk.ts';

let base: string;
let sandbox: Sandbox;

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'pk-copy-'));
  mkdirSync(join(base, 'tree/sub'), { recursive: true });
  writeFileSync(join(base, 'tree/sub/large'), Buffer.alloc(300_000, 'abc'));
  writeFileSync(join(base, 'tree/program'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
  symlinkSync('program', join(base, 'tree/link'));
  sandbox = await Sandbox.create();
  for (const driver of ['uml', 'qemu'])
    await sandbox.ok('run', '-d', '--driver', driver, '--name', driver, '--', 'sleep', '10000');
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  rmSync(base, { recursive: true, force: true });
});

const same = (one: string, other: string) => execFileSync('diff', ['-r', '--no-dereference', one, other]);

it.each(['uml', 'qemu'])('a tree goes into a kernel on %s and comes back the same', async (driver) => {
  await sandbox.ok('cp', join(base, 'tree'), `${driver}:/tmp`);
  await sandbox.ok('cp', `${join(base, 'tree')}/.`, `${driver}:/tmp/content`);
  expect(await sandbox.ok('exec', driver, '/tmp/tree/link')).toBe('ran\n');
  mkdirSync(join(base, driver));
  await sandbox.ok('cp', `${driver}:/tmp/content`, join(base, driver));
  same(join(base, 'tree'), join(base, driver, 'content'));
  expect(readdirSync(join(base, driver))).toEqual(['content']);
  expect((await sandbox.pk(['cp', `${driver}:/nowhere`, base])).stderr).toContain('/nowhere');
  expect((await sandbox.pk(['cp', join(base, 'tree'), `${driver}:/tmp/tree/program`])).stderr).toContain(
    'not a directory',
  );
});

it.each(['uml', 'qemu'])(
  'holes of a file stay holes, into a kernel on %s that has no room for zeros and out',
  async (driver) => {
    const sparse = join(base, `sparse-${driver}`);
    execFileSync('sh', [
      '-c',
      'echo begin > "$0"; truncate -s 70M "$0"; echo end >> "$0"; truncate -s 140M "$0"',
      sparse,
    ]);
    await sandbox.ok('cp', sparse, `${driver}:/tmp/sparse`);
    await sandbox.ok('cp', `${driver}:/tmp/sparse`, `${sparse}-back`);
    execFileSync('cmp', [sparse, `${sparse}-back`]);
    expect(statSync(`${sparse}-back`).blocks * 512).toBeLessThan(2 ** 20);
    await sandbox.ok('exec', driver, 'rm', '/tmp/sparse');
  },
);

it.each(['uml', 'qemu'])('blocks of zeros between others are holes, into a kernel on %s and out', async (driver) => {
  const dotted = join(base, `dotted-${driver}`);
  const file = openSync(dotted, 'w');
  for (let at = 0; at < 64; at++) writeSync(file, 'x', at * 2 ** 16 + 5000);
  ftruncateSync(file, 2 ** 22 + 5);
  closeSync(file);
  await sandbox.ok('cp', dotted, `${driver}:/tmp/dotted`);
  const [size, blocks] = (await sandbox.ok('exec', driver, 'stat', '-c', '%s %b', '/tmp/dotted'))
    .split(' ')
    .map(Number);
  expect([size, blocks! * 512]).toEqual([2 ** 22 + 5, 2 ** 18]);
  await sandbox.ok('cp', `${driver}:/tmp/dotted`, `${dotted}-back`);
  execFileSync('cmp', [dotted, `${dotted}-back`]);
  expect(statSync(`${dotted}-back`).blocks * 512).toBeLessThan(2 ** 20);
  await sandbox.ok('exec', driver, 'rm', '/tmp/dotted');
});

it('what cannot be read here is named', async () => {
  // /proc/self/attr has files that nobody reads who has not written to them, root neither.
  const refused = await sandbox.pk(['cp', '/proc/self/task/', 'uml:/tmp/task']);
  expect(refused.code).toBe(125);
  expect(refused.stderr).toMatch(/^pk: reading \/proc\/self\/task\/\d+\/\S+ failed: [^(]*$/m);
});

it.runIf(process.getuid?.() === 0).each(['uml', 'qemu'])(
  'an owner that a volume on %s cannot have is told, with what works',
  async (driver) => {
    const name = `owners-${driver}`;
    const file = join(base, `file-${driver}`);
    mkdirSync(join(base, name));
    writeFileSync(file, 'x');
    chownSync(file, 70_000, 70_001);
    await sandbox.ok(
      'run',
      '-d',
      '--driver',
      driver,
      '--name',
      name,
      '-v',
      `${join(base, name)}:/d`,
      '--',
      'sleep',
      '10000',
    );
    const refused = await sandbox.pk(['cp', '-a', file, `${name}:/d/`]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(
      `writing /d/file-${driver} in the guest failed: nothing there can belong to 70000:70001`,
    );
    expect(refused.stderr).toContain('Without --archive');
    expect(readdirSync(join(base, name))).toEqual([]);
    await sandbox.ok('cp', file, `${name}:/d/`);
    await sandbox.ok('cp', '-a', file, `${name}:/tmp/`);
    expect(await sandbox.ok('exec', name, 'stat', '-c', '%u:%g', `/tmp/file-${driver}`)).toBe('70000:70001\n');
    await sandbox.ok('rm', '-f', name);
  },
);

it('an archive is a pipe, and a tree goes from one kernel to the other', async () => {
  const archive = join(base, 'tree.tar');
  execFileSync('sh', ['-c', 'tar -C "$1" -cf "$2" .', 'sh', join(base, 'tree'), archive]);
  await sandbox.ok('exec', 'uml', 'mkdir', '/tmp/piped');
  expect(await sandbox.pk(['cp', '-', 'uml:/tmp/piped'], readFileSync(archive, 'latin1'))).toMatchObject({ code: 0 });
  await sandbox.ok('cp', 'uml:/tmp/piped', 'qemu:/tmp');
  await sandbox.ok('cp', 'qemu:/tmp/piped', join(base, 'round'));
  same(join(base, 'tree'), join(base, 'round'));
});

it('what has no end is refused, and what breaks off is named and leaves nothing half', async () => {
  const out = join(base, 'broken');
  mkdirSync(out);
  for (const to of ['-', out]) {
    const refused = await sandbox.pk(['cp', 'uml:/dev/zero', to]);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toMatch(/\/dev\/zero is a device, and no file or directory\n.*pk exec NAME head/);
  }
  expect(readdirSync(out)).toEqual([]);
  await sandbox.ok('exec', 'uml', 'sh', '-c', 'mkdir /tmp/in && truncate -s 8G /tmp/in/endless');

  const interrupted = sandbox.start('cp', 'uml:/tmp/in', out);
  const taken = finished(interrupted);
  await eventually(() => readdirSync(out, { recursive: true }).some((name) => `${name}`.includes('.pk-cp-')), 60_000);
  interrupted.kill('SIGINT');
  expect((await taken).code).toBe(130);
  expect(readdirSync(join(out, 'in'))).toEqual([]);

  const halves = () => readdirSync(join(out, 'in')).filter((name) => name.startsWith('.pk-cp-'));
  const killed = sandbox.start('cp', 'uml:/tmp/in', out);
  const gone = finished(killed);
  await eventually(() => halves().length === 1, 60_000);
  const going = sandbox.start('cp', 'uml:/tmp/in', out);
  const stopped = finished(going);
  await eventually(() => halves().length === 2, 60_000);
  killed.kill('SIGKILL');
  await gone;
  expect(halves()).toHaveLength(2);
  await sandbox.ok('cp', 'uml:/etc/hostname', join(out, 'in'));
  expect(halves()).toHaveLength(1);
  going.kill('SIGINT');
  await stopped;
  expect(readdirSync(join(out, 'in'))).toEqual(['hostname']);

  const sender = sandbox.start('cp', '-', 'uml:/tmp/in');
  const sent = finished(sender);
  const archive = execFileSync('tar', ['-C', join(base, 'tree/sub'), '-cf', '-', 'large']);
  sender.stdin!.write(archive.subarray(0, 100_000));
  const inside = () => sandbox.ok('exec', 'uml', 'ls', '-A', '/tmp/in');
  await eventually(async () => (await inside()).includes('.pk-cp-'), 60_000);
  sender.kill('SIGINT');
  expect((await sent).code).toBe(130);
  await eventually(async () => (await inside()) === 'endless\n', 60_000);

  const reader = sandbox.start('cp', 'uml:/tmp/in', '-');
  await once(reader.stdout!, 'readable');
  await sandbox.ok('kill', 'uml');
  const ended = await finished(reader);
  expect(ended.code).not.toBe(0);
  expect(ended.stderr).toMatch(/^pk: copying uml:\/tmp\/in\/endless broke off: /);
  await sandbox.ok('start', 'uml');
});

it.each(['uml', 'qemu'])(
  'what a kernel on %s died over in a volume goes with the next copy into it, and nothing of another one',
  async (driver) => {
    const volume = join(base, `volume-${driver}`);
    mkdirSync(join(volume, 'sub'), { recursive: true });
    writeFileSync(join(volume, 'sub/.pk-cp-0123456789abcdef-0'), 'of another');
    const names = ['one', 'two'].map((name) => `${name}-${driver}`);
    for (const name of names)
      await sandbox.ok('run', '-d', '--driver', driver, '--name', name, '-v', `${volume}:/v`, '--', 'sleep', '10000');
    const archive = execFileSync('tar', ['-C', join(base, 'tree/sub'), '-cf', '-', 'large']);
    const seen = () => readdirSync(join(volume, 'sub')).length;
    // One that goes on in another kernel, and one that is broken off.
    const senders = [];
    for (const name of [names[1]!, names[0]!]) {
      const before = seen();
      const sender = sandbox.start('cp', '-', `${name}:/v/sub`);
      senders.push({ sender, sent: finished(sender) });
      sender.stdin!.write(archive.subarray(0, 100_000));
      await eventually(() => seen() === before + 1, 60_000);
    }
    await sandbox.ok('kill', names[0]!);
    expect((await senders[1]!.sent).code).toBe(123);
    expect(seen()).toBe(3);
    await sandbox.ok('start', names[0]!);
    await sandbox.ok('cp', join(base, 'tree/program'), `${names[0]}:/v/sub/program`);
    expect(seen()).toBe(3);
    senders[0]!.sender.stdin!.end(archive.subarray(100_000));
    expect((await senders[0]!.sent).code).toBe(0);
    expect(readdirSync(join(volume, 'sub')).sort()).toEqual(['.pk-cp-0123456789abcdef-0', 'large', 'program']);
    await sandbox.ok('rm', '-f', ...names);
  },
);

it.each(['uml', 'qemu'])('a tree deeper than a path can be long is refused on %s, and told as that', async (driver) => {
  const deep = 'mkdir deep && cd deep && for i in $(seq 25); do mkdir "$0" && cd -P "$0" || exit 1; done';
  const name = 'd'.repeat(200);
  const source = join(base, `deep-${driver}`);
  mkdirSync(source);
  execFileSync('bash', ['-c', deep, name], { cwd: source });
  const sent = await sandbox.pk(['cp', join(source, 'deep'), `${driver}:/tmp`]);
  expect(sent.code).toBe(125);
  expect(sent.stderr).toContain(`${name}/${name}`);
  expect(sent.stderr).toContain('in the guest failed: name too long');
  await sandbox.ok('exec', driver, 'bash', '-c', `rm -rf /tmp/deep && cd /tmp && ${deep}`, name);
  const got = await sandbox.pk(['cp', `${driver}:/tmp/deep`, join(source, 'back')]);
  expect(got.code).toBe(125);
  expect(got.stderr).toContain('a path of more than 4,095 bytes');
  await sandbox.ok('exec', driver, 'rm', '-rf', '/tmp/deep');
});

it('a loop of links is no place for a file, here as in a guest', async () => {
  const loop = join(base, 'loop');
  symlinkSync('loop', loop);
  await sandbox.ok('exec', 'uml', 'ln', '-s', 'loop', '/tmp/loop');
  const refused = [
    await sandbox.pk(['cp', 'uml:/etc/hostname', loop]),
    await sandbox.pk(['cp', join(base, 'tree/program'), 'uml:/tmp/loop']),
  ];
  for (const { code, stderr } of refused) expect([code, stderr]).toEqual([125, expect.stringContaining('link')]);
  expect(readlinkSync(loop)).toBe('loop');
});

it.each(['uml', 'qemu'])('a command that was put behind on %s outlives its client and the daemon', async (driver) => {
  expect(await sandbox.ok('exec', '-d', driver, 'sh', '-c', 'exec sleep 7531')).toBe('');
  await sandbox.ok('daemon', 'stop');
  expect(await sandbox.ok('exec', driver, 'sh', '-c', 'cat /proc/[0-9]*/cmdline')).toContain('7531');
  const absent = await sandbox.pk(['exec', '-d', driver, 'no-such-program']);
  expect([absent.code, absent.stderr]).toEqual([127, expect.stringContaining('no-such-program')]);
});
