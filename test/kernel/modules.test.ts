/** Modules of the image, loaded in kernels of both drivers by the root's own modprobe, whatever the root is. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ImageStore } from '../../src/image/contract.ts';
import { findTool } from '../../src/sys/tools.ts';
import { Sandbox } from '../support/pk.ts';

const NAMES = ['loop', 'veth', 'nf_tables', 'fuse'];
const LOAD = `${NAMES.map((name) => `modprobe ${name}`).join(' && ')} && cat /proc/modules /lib/modules/$(uname -r)/modules.builtin`;
/** Loaded, or built in. */
const hasIt = (name: string) => new RegExp(`^${name} |/${name}\\.ko$`, 'm');

let base: string;
let sandbox: Sandbox;
let bare: string;
/** By kind, as --rootfs takes them. Of all of them /lib is a directory, but of the tar, where it is a link into /usr. */
const roots = new Map<string, string>();

/** A system of busybox alone. */
function system(name: string, isMerged: boolean): string {
  const root = join(base, name);
  mkdirSync(join(root, 'bin'), { recursive: true });
  if (isMerged) {
    mkdirSync(join(root, 'usr/lib'), { recursive: true });
    symlinkSync('usr/lib', join(root, 'lib'));
  } else mkdirSync(join(root, 'lib'));
  copyFileSync(findTool('busybox')!.path, join(root, 'bin/busybox'));
  for (const program of ['sh', 'modprobe', 'cat', 'touch', 'rm', 'mount', 'uname', 'ls', 'stat'])
    symlinkSync('busybox', join(root, 'bin', program));
  chmodSync(root, 0o755);
  return root;
}

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'pk-modules-'));
  chmodSync(base, 0o755);
  sandbox = await Sandbox.create();
  const directory = system('directory', false);
  roots.set('directory', directory);
  bare = system('bare', false);
  rmSync(join(bare, 'bin/modprobe'));
  const images = { tar: join(base, 'root.tar'), squashfs: join(base, 'root.squashfs'), ext4: join(base, 'root.ext4') };
  execFileSync('tar', ['-C', system('merged', true), '-cf', images.tar, '.']);
  execFileSync(findTool('mksquashfs')!.path, [directory, images.squashfs, '-quiet', '-no-progress']);
  execFileSync(findTool('mkfs.ext4')!.path, ['-q', '-d', directory, images.ext4, '16M'], { stdio: 'ignore' });
  for (const [kind, path] of Object.entries(images)) roots.set(kind, path);
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  rmSync(base, { recursive: true, force: true });
});

describe.each([
  ['uml', 'debian:uml'],
  ['qemu', 'debian:amd64'],
])('modules of a kernel on %s', (driver, image) => {
  const run = (options: string[], ...command: string[]) =>
    sandbox.pk(['run', '--driver', driver, ...options, '--', ...command]);

  it("loads on this machine's own files", async () => {
    const ran = await run([], 'sh', '-c', LOAD.replaceAll('modprobe', 'busybox modprobe'));
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    for (const name of NAMES) expect(ran.stdout).toMatch(hasIt(name));
  });

  it.each(['directory', 'tar', 'squashfs', 'ext4'])('loads on a %s, which shows what it had too', async (kind) => {
    const command = `${LOAD} && stat -c %a /lib && ls /bin/busybox`;
    const ran = await run(['--rootfs', roots.get(kind)!], '/bin/sh', '-c', command);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    for (const name of NAMES) expect(ran.stdout).toMatch(hasIt(name));
    expect(ran.stdout).toMatch(/(755|777)\n\/bin\/busybox\n$/);
  });

  it('loads what its kernel wants by itself where the root has no modprobe', async () => {
    // A socket of IPv6; a device whose driver is a module; a file system by its name.
    const script = `
      busybox nc ::1 1 2>&1
      : < /dev/net/tun && echo tun
      busybox mkdir -p /mnt && mount -t vfat none /mnt 2> /dev/null; busybox grep -o vfat /proc/filesystems`;
    const ran = await run(['--rootfs', bare], '/bin/sh', '-c', script);
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringMatching(/Connection refused\ntun\nvfat\n$/) });
  });

  it('is lent a modprobe where the root has none', async () => {
    const lent = ['-v', `${findTool('busybox')!.path}:/sbin/modprobe:ro`];
    const ran = await run(['--rootfs', bare, ...lent], '/bin/sh', '-c', 'modprobe loop && cat /proc/modules');
    expect(ran).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^loop /m) });
  });

  it('lets nobody write there, root neither, nor when it is mounted anew', async () => {
    const place = '/lib/modules/$(uname -r)';
    const script = `
      touch ${place}/x; rm ${place}/modules.dep; touch ${place}/modules.dep
      mount -o remount,bind,rw ${place}; mount -o remount,rw ${place}
      touch ${place}/x; rm ${place}/modules.dep
      ls ${place}/x; modprobe loop && echo still there`;
    const ran = await run(['--rootfs', roots.get('directory')!], '/bin/sh', '-c', script);
    expect(ran.stdout).toBe('still there\n');
    expect(ran.stderr).toContain('Read-only file system');
  });

  it("leaves a root's own modules of this kernel alone, and a volume's", async () => {
    const { version } = await new ImageStore().resolve(image);
    const root = system(`own-${driver}`, false);
    const own = join(root, 'lib/modules', version);
    mkdirSync(own, { recursive: true });
    // Headers alone, as a package of them makes, are no modules.
    writeFileSync(join(own, 'build'), '');
    const list = () => run(['--rootfs', root], '/bin/sh', '-c', `ls /lib/modules/${version}`);
    expect((await list()).stdout.split('\n')).toContain('kernel');
    writeFileSync(join(own, 'modules.dep'), '');
    expect((await list()).stdout).toBe('build\nmodules.dep\n');
    const volume = ['-v', `${own}:/lib/modules/${version}:ro`];
    const shown = await run(['--rootfs', roots.get('directory')!, ...volume], '/bin/ls', `/lib/modules/${version}`);
    expect(shown.stdout).toBe('build\nmodules.dep\n');
  });
});
