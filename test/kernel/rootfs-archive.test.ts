/** An archive as a root, on real kernels: what the guest sees of it is what the archive says. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whileUnleased } from '../../src/image/root-lease.ts';
import { cacheDirectory } from '../../src/sys/paths.ts';
import { processStartTime, run, which } from '../../src/sys/process.ts';
import { Sandbox, until } from '../support/pk.ts';

/** cap_net_raw, permitted and effective: struct vfs_cap_data of linux/capability.h, revision 2. */
const NET_RAW = '\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0';
const CAP_NET_RAW = '2000';
/** Prints its effective uid and capabilities. */
const WHO = `#define _GNU_SOURCE
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};

	syscall(SYS_capget, &header, data);
	printf("%d %x\\n", (int)geteuid(), data[0].effective);
	return 0;
}
`;

let sandbox: Sandbox;
let directory: string;
let archive: string;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  directory = mkdtempSync(join(tmpdir(), 'pk-archive-'));
  chmodSync(directory, 0o755);
  archive = join(directory, 'root.tar.gz');
  const busybox = readFileSync(which('busybox')!);
  writeFileSync(join(directory, 'who.c'), WHO);
  // Of the system's C library, which comes with the kernel's headers.
  const compiled = await run(['gcc', '-static', '-O', '-o', join(directory, 'who'), join(directory, 'who.c')]);
  expect(compiled.stderr).toBe('');
  const who = readFileSync(join(directory, 'who'));
  const entries: [Partial<Header> & { name: string }, (string | Buffer)?][] = [
    [{ name: './', type: 'directory', mode: 0o755 }],
    ...['bin/', 'etc/', 'proc/', 'sys/', 'dev/', 'tmp/', 'home/', 'run/'].map(
      (name) => [{ name, type: 'directory', mode: 0o755 }] as [Partial<Header> & { name: string }],
    ),
    [{ name: 'etc/hosts' }, ''],
    [{ name: 'run/sshd', type: 'directory', mode: 0o755 }],
    [{ name: 'run/db/socket', type: 'directory', mode: 0o2750, uid: 1000, gid: 50 }],
    [{ name: 'run/db/socket/left.pid' }, '1'],
    [{ name: 'bin/busybox', mode: 0o755 }, busybox],
    [{ name: 'bin/sh', type: 'symlink', linkname: 'busybox' }],
    [{ name: 'bin/who', mode: 0o755 }, who],
    [{ name: 'bin/as-root', mode: 0o4755 }, who],
    [{ name: 'bin/raw', mode: 0o755, pax: { 'SCHILY.xattr.security.capability': NET_RAW } }, who],
    [{ name: 'home/letter', mode: 0o640, uid: 1000, gid: 1000, mtime: new Date(1e12) }, 'dear guest\n'],
    [{ name: 'home/same', type: 'link', linkname: 'home/letter' }],
  ];
  const tar = pack();
  for (const [header, body] of entries) tar.entry(header as Header, body ?? '');
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  writeFileSync(archive, gzipSync(Buffer.concat(chunks)));
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

describe.each(['uml', 'qemu'])('a root from an archive on %s', (driver) => {
  const guest = async (script: string, user = '0') => {
    const options = ['--driver', driver, '--rootfs', archive, '--user', user];
    const ran = await sandbox.pk(['run', ...options, '--', '/bin/sh', '-c', script]);
    expect(ran.stderr).not.toMatch(/^pk: (?!unpacking|--rootfs: unpacking)/m);
    return ran.stdout.trim().split('\n');
  };

  it('has its owners, modes, times and links', async () => {
    const files = '/home/letter /home/same /bin/as-root /';
    const script = `busybox stat -c '%n %u:%g %a %h' ${files}; busybox stat -c %Y /home/letter; busybox cat /home/same`;
    expect(await guest(script)).toEqual([
      '/home/letter 1000:1000 640 2',
      '/home/same 1000:1000 640 2',
      '/bin/as-root 0:0 4755 1',
      expect.stringMatching(/^\/ 0:0 755 /),
      '1000000000',
      'dear guest',
    ]);
  });

  it('is seen to be in use while its kernel runs, whoever its daemon is, so that it stays in the cache', async () => {
    const name = `held-${driver}`;
    const root = ['--driver', driver, '--rootfs', archive];
    const hash = createHash('sha256').update(readFileSync(archive)).digest('hex');
    const store = join(cacheDirectory(), 'rootfs');
    const isUnused = () => whileUnleased(store, hash, async () => {});
    await sandbox.ok('run', '-d', '--name', name, ...root, '--', '/bin/sh', '-c', 'exec busybox sleep 1000');
    try {
      expect(await isUnused()).toBe(false);
      const { pid } = await sandbox.json<{ pid: number }>('daemon', 'status');
      process.kill(pid, 'SIGKILL');
      await until('the daemon is gone', () => processStartTime(pid) === undefined);
      expect(await isUnused()).toBe(false);
      expect(await sandbox.json('inspect', name)).toMatchObject({ state: 'running' });
      expect(await isUnused()).toBe(false);
    } finally {
      await sandbox.ok('rm', '-f', name);
    }
    await until('nobody uses it', isUnused);
  });

  // As docker export makes them: an empty /etc/hosts, and in /run what programs need there.
  it('has the names and the directories that its programs look for', async () => {
    const script = `cd /run && busybox stat -c '%n %u:%g %a' sshd db/socket lock && busybox ls db/socket && busybox cat /etc/hosts`;
    const name = `named-${driver}`;
    const options = ['--driver', driver, '--rootfs', archive, '--hostname', `${name}.example.org`];
    const ran = await sandbox.pk(['run', ...options, '--', '/bin/sh', '-c', script]);
    expect(ran.stdout.trim().split('\n')).toEqual([
      ...['sshd 0:0 755', 'db/socket 1000:50 2750', 'lock 0:0 1777'],
      ...['127.0.0.1 localhost', '::1 localhost ip6-localhost ip6-loopback', `127.0.1.1 ${name}.example.org ${name}`],
    ]);
  });

  it('can be written, in its scratch layer', async () => {
    expect(
      await guest('echo more >> /home/letter; busybox cat /home/letter; busybox stat -c %u:%a /home/letter'),
    ).toEqual(['dear guest', 'more', '1000:640']);
  });

  it('has set-uid programs that work in the guest', async () => {
    expect(await guest('/bin/who; /bin/as-root', '1000:1000')).toEqual(['1000 0', expect.stringMatching(/^0 /)]);
  });

  // The squashfs module of Debian's user-mode-linux is built without CONFIG_SQUASHFS_XATTR.
  it.runIf(driver === 'qemu')('has file capabilities', async () => {
    expect(await guest('/bin/who; /bin/raw', '1000:1000')).toEqual(['1000 0', `1000 ${CAP_NET_RAW}`]);
  });
});
