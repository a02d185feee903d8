/** The escapes a hostile guest would try first, tried. Guest root is assumed throughout: it is what `pk run` gives. */
import { access, chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sandbox } from '../../support/pk.ts';

const APPLETS = ['sh', 'cat', 'ls', 'mount', 'mkdir', 'id', 'echo', 'head', 'touch', 'nproc', 'true', 'sleep'];

let sandbox: Sandbox;
let root: string;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  root = await mkdtemp(join(tmpdir(), 'pk-root-'));
  await chmod(root, 0o755);
  for (const directory of ['bin', 'proc', 'sys', 'dev', 'tmp', 'etc']) await mkdir(join(root, directory));
  await copyFile('/bin/busybox', join(root, 'bin', 'busybox'));
  for (const applet of APPLETS) await symlink('busybox', join(root, 'bin', applet));
  await writeFile(join(root, 'etc', 'marker'), 'mine\n');
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

const shell = (driver: string, script: string) =>
  sandbox.pk(['run', '--driver', driver, '--rootfs', root, '--', '/bin/sh', '-c', script]);

describe('a UML guest that mounts hostfs itself', () => {
  it.each(['/', '/../../..', '/proc/1/root'])('sees nothing of the host with -o %s', async (option) => {
    const script = `mkdir /tmp/m; mount -t hostfs none /tmp/m -o ${option}; ls /tmp/m /tmp/m/root /tmp/m/home /tmp/m/var; cat /tmp/m/etc/shadow /tmp/m/etc/machine-id; echo tried`;
    const ran = await shell('uml', script);
    expect(ran.stdout).toContain('tried');
    expect(ran.stdout).not.toContain('root:');
    expect(ran.stdout).not.toMatch(/^[0-9a-f]{32}$/m);
    expect(ran.stdout).not.toMatch(/state\.db|daemon\.sock/);
  });

  it('cannot write to the host through it', async () => {
    const ran = await shell(
      'uml',
      'mkdir /tmp/m; mount -t hostfs none /tmp/m -o /; touch /tmp/m/export/root/owned; touch /tmp/m/usr/owned; echo tried',
    );
    expect(ran.stdout).toContain('tried');
    await expect(access(join(root, 'owned'))).rejects.toThrow();
    await expect(access('/usr/owned')).rejects.toThrow();
  });
});

describe.each(['uml', 'qemu'])('a guest on %s', (driver) => {
  it('runs its own root file system and sees its marker', async () => {
    expect(await shell(driver, 'cat /etc/marker; echo changed > /etc/marker; cat /etc/marker')).toMatchObject({
      code: 0,
      stdout: 'mine\nchanged\n',
    });
  });

  it('does not find the state directory in the host root', async () => {
    const ran = await sandbox.pk(['run', '--driver', driver, '--', 'ls', '-A', sandbox.home]);
    expect(ran.stdout.trim()).toBe('');
  });

  it('cannot reach control sockets under /run', async () => {
    const ran = await sandbox.pk([
      'run',
      '--driver',
      driver,
      '--',
      'sh',
      '-c',
      'ls /run | grep -c sock; cat /run/systemd/private 2>&1 | head -c 0',
    ]);
    expect(ran.stdout.trim()).toBe('0');
  });

  it('has no network but its own loopback', async () => {
    const ran = await sandbox.pk(['run', '--driver', driver, '--', 'sh', '-c', 'ls /sys/class/net']);
    expect(ran.stdout.trim()).toBe('lo');
  });
});
