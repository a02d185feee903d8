/** pk-share, which serves the writable volumes of User Mode Linux from within the guest: how it lasts and ends. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ImageStore } from '../../src/image/contract.ts';
import { compileFixture } from '../support/frames.ts';
import { Sandbox, until } from '../support/pk.ts';

/** Its pid in a guest, without tools that a root may lack. */
const SERVER =
  'for p in /proc/[0-9]*; do [ "$(cat $p/comm)" = pk-share ] && server=$(basename $p); done; test -n "$server"';

describe.runIf(process.getuid?.() === 0)('pk-share', () => {
  let sandbox: Sandbox;
  let directory: string;
  const run = (user: string, script: string) => {
    const options = ['--driver', 'uml', '-u', user, '-w', '/', '-v', `${directory}:/d`];
    return sandbox.pk(['run', ...options, '--', 'sh', '-c', script]);
  };

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    directory = mkdtempSync(join(tmpdir(), 'pk-share-'));
    chmodSync(directory, 0o777);
  });
  afterAll(async () => {
    await sandbox?.[Symbol.asyncDispose]();
    if (directory) rmSync(directory, { recursive: true, force: true });
  });

  it('is missed where the kernel has no FUSE, before anything is started', async () => {
    const { kernel } = await new ImageStore().resolve('debian:uml');
    const image = `bare-${process.pid}`;
    await sandbox.ok('image', 'import', kernel, '--name', image);
    try {
      const options = ['--driver', 'uml', '--image', image, '-u', '1000', '-v', `${directory}:/d`];
      const ran = await sandbox.pk(['run', ...options, '--', 'true']);
      expect(ran.code).toBe(125);
      expect(ran.stderr).toMatch(/has no FUSE[\s\S]*--driver qemu/);
    } finally {
      await sandbox.ok('image', 'rm', image);
    }
  });

  it('cannot be ended by a user', async () => {
    const ran = await run('1000', `${SERVER}; kill -9 $server && echo killed; echo works > /d/user; cat /d/user`);
    expect(ran).toMatchObject({ code: 0, stdout: 'works\n' });
  });

  it('does not end by signals that root sends to all, and when it is killed nothing hangs', async () => {
    const script = [
      SERVER,
      'trap "" TERM HUP INT; kill -TERM -1; kill -HUP -1; echo works > /d/root; cat /d/root',
      'kill -9 $server; while [ -e /proc/$server ] && ! grep -q Z /proc/$server/stat; do :; done',
      'ls /d && echo there; echo over',
    ];
    const ran = await run('0', script.join('\n'));
    expect(ran).toMatchObject({ code: 0, stdout: 'works\nover\n' });
    expect(ran.stderr).toMatch(/not connected|aborted/);
  });

  it('serves until the last process has ended, and then lets the kernel power off', async () => {
    const script = 'trap "sleep 0.2; echo end > /d/end; exit 0" TERM; echo up > /d/up; while :; do sleep 0.05; done';
    const options = ['--driver', 'uml', '-w', '/', '-v', `${directory}:/d`];
    await sandbox.ok('run', '-d', '--name', 'ends', ...options, '--', 'sh', '-c', script);
    await until('the file of the guest', () => statSync(join(directory, 'up'), { throwIfNoEntry: false }));
    await sandbox.ok('stop', '--grace', '120s', 'ends');
    expect(readFileSync(join(directory, 'end'), 'utf8')).toBe('end\n');
    const [row] = await sandbox.json<{ exit: { reason: string } }[]>('ps', '-a');
    expect(row?.exit.reason).toBe('stopped');
  });

  it('sees what the host makes of the directory itself: its owner, mode and links', async () => {
    const own = mkdtempSync(join(directory, 'own-'));
    const options = ['--driver', 'uml', '-u', '1000', '-w', '/', '-v', `${own}:/d`];
    await sandbox.ok('run', '-d', '--name', 'own', ...options, '--', 'sleep', '1000');
    const seen = () => sandbox.ok('exec', 'own', '--', 'stat', '-c', '%u %a %h', '/d');
    expect(await seen()).toBe('0 700 2\n');
    chownSync(own, 1000, 1000);
    mkdirSync(join(own, 'made'));
    await until('the guest sees it', async () => (await seen()) === '1000 700 3\n');
    await sandbox.ok('exec', 'own', '--', 'mkdir', '/d/another');
    await until('and its own', async () => (await seen()) === '1000 700 4\n');
    chmodSync(own, 0o500);
    await until('others are kept out', async () => (await seen()) === '1000 500 4\n');
    expect((await sandbox.pk(['exec', '-u', '1234', 'own', '--', 'ls', '/d'])).stderr).toContain('Permission denied');
    await sandbox.ok('rm', '-f', 'own');
  });

  it('goes a thousand levels down, and back up', async () => {
    const program = join(directory, 'volume');
    await compileFixture('volume', program);
    const options = ['--driver', 'uml', '-w', '/', '-v', `${directory}:/d`];
    const ran = await sandbox.pk(['run', ...options, '--', '/d/volume', '/d', '1000', '1000']);
    expect(ran.stdout).toContain('\ndeep yes\n');
    expect(readdirSync(join(directory, 'tried'))).not.toContain('deep');
  });

  it('knows what becomes of deep directories on the host', async () => {
    const deep = Array.from({ length: 40 }, (_, level) => `level-${level}`);
    const [top, rest] = [deep.slice(0, 20).join('/'), deep.slice(20).join('/')];
    const host = (path: string) => join(directory, path);
    mkdirSync(host(`${top}/${rest}`), { recursive: true });
    writeFileSync(host(`${top}/${rest}/file`), 'first');
    const options = ['--driver', 'uml', '-w', `/d/${top}`, '-v', `${directory}:/d`];
    await sandbox.ok('run', '-d', '--name', 'deep', ...options, '--', 'sleep', '1000');
    const read = async (path: string) =>
      (await sandbox.pk(['exec', '-w', '/', 'deep', '--', 'cat', `/d/${path}/file`])).stdout;
    expect(await read(`${top}/${rest}`)).toBe('first');
    // Another directory with its name, above and below what the guest has been in.
    renameSync(host(top), host('moved'));
    mkdirSync(host(`${top}/${rest}`), { recursive: true });
    writeFileSync(host(`${top}/${rest}/file`), 'second');
    await until('the guest sees the new one', async () => (await read(`${top}/${rest}`)) === 'second');
    await until('and the old one', async () => (await read(`moved/${rest}`)) === 'first');
    rmSync(host('level-0'), { recursive: true });
    await until('that it is gone', async () => (await read(`${top}/${rest}`)) === '');
    expect(await read(`moved/${rest}`)).toBe('first');
    // What is written deep down lies there on the host.
    const write = `mkdir /d/moved/${rest}/new && mv /d/moved/${rest}/file /d/moved/${rest}/new/ && ln -s to /d/moved/${rest}/l`;
    await sandbox.ok('exec', '-w', '/', 'deep', '--', 'sh', '-ec', write);
    expect(readFileSync(host(`moved/${rest}/new/file`), 'utf8')).toBe('first');
    expect(readlinkSync(host(`moved/${rest}/l`))).toBe('to');
    await sandbox.ok('exec', '-w', '/', 'deep', '--', 'rm', '-r', '/d/moved');
    expect(existsSync(host('moved'))).toBe(false);
    await sandbox.ok('rm', '-f', 'deep');
  });

  it('shows who has a directory open nothing of another that the host has put in its place', async () => {
    const own = mkdtempSync(join(directory, 'exchanged-'));
    const host = (path: string) => join(own, path);
    chmodSync(own, 0o777);
    mkdirSync(host('place'), { mode: 0o755 });
    const script = [
      'exec 3< /d/place; cd /d/place; : > /d/open; while [ ! -e /d/exchanged ]; do :; done',
      'while [ "$(cat < /d/exchanged)" != yes ]; do :; done',
      'for each in /proc/self/fd/3 . /d/place; do ls $each/; cat $each/file; done 2> /dev/null; echo over',
    ].join('\n');
    const options = ['--driver', 'uml', '-u', '1000', '-w', '/', '-v', `${own}:/d`];
    const ran = sandbox.pk(['run', ...options, '--', 'sh', '-c', script]);
    await until('it is open', () => existsSync(host('open')));
    renameSync(host('place'), host('moved'));
    mkdirSync(host('place'), { mode: 0o700 });
    writeFileSync(host('place/file'), 'of another\n');
    writeFileSync(host('exchanged'), 'yes');
    expect(await ran).toMatchObject({ code: 0, stdout: 'over\n' });
  });

  it('forgets files that the kernel has forgotten', async () => {
    const script = [
      SERVER,
      'size() { while read name value rest; do [ "$name" = VmData: ] && echo $value; done < /proc/$server/status; }',
      'cd /d; round() { mkdir many; i=0; while [ $i -lt 1500 ]; do : > many/file-with-a-name-of-some-length-$i; i=$((i+1)); done; ls -l many > /dev/null; rm -r many; echo 2 > /proc/sys/vm/drop_caches; }',
      'round; first=$(size); round; round; round; round; echo $(($(size) - first))',
    ];
    const ran = await run('0', script.join('\n'));
    expect(ran.code, ran.stderr).toBe(0);
    // KiB: 6,000 nodes and names take some 1,300; those of one round may not be forgotten yet.
    expect(Number(ran.stdout)).toBeLessThan(650);
  });
});
