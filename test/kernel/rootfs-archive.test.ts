/** An archive as a root, on real kernels: what the guest sees of it is what the archive says. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { which } from '../../src/sys/process.ts';
import { Sandbox } from '../pk.ts';

/** cap_net_raw, permitted and effective: struct vfs_cap_data of linux/capability.h, revision 2. */
const NET_RAW = '\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0';
const CAP_NET_RAW = '0000000000002000';

let sandbox: Sandbox;
let directory: string;
let archive: string;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  directory = mkdtempSync(join(tmpdir(), 'pk-archive-'));
  chmodSync(directory, 0o755);
  archive = join(directory, 'root.tar.gz');
  const busybox = readFileSync(which('busybox')!);
  const entries: [Partial<Header> & { name: string }, (string | Buffer)?][] = [
    [{ name: './', type: 'directory', mode: 0o755 }],
    ...['bin/', 'etc/', 'proc/', 'sys/', 'dev/', 'tmp/', 'home/'].map(
      (name) => [{ name, type: 'directory', mode: 0o755 }] as [Partial<Header> & { name: string }],
    ),
    [{ name: 'bin/busybox', mode: 0o755 }, busybox],
    [{ name: 'bin/sh', type: 'symlink', linkname: 'busybox' }],
    [{ name: 'bin/as-root', mode: 0o4755 }, busybox],
    [{ name: 'bin/raw', mode: 0o755, pax: { 'SCHILY.xattr.security.capability': NET_RAW } }, busybox],
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
  const guest = async (script: string) => {
    const ran = await sandbox.pk(['run', '--driver', driver, '--rootfs', archive, '--', '/bin/sh', '-c', script]);
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

  it('can be written, in its scratch layer', async () => {
    expect(
      await guest('echo more >> /home/letter; busybox cat /home/letter; busybox stat -c %u:%a /home/letter'),
    ).toEqual(['dear guest', 'more', '1000:640']);
  });

  it('has set-uid programs that work in the guest', async () => {
    const as = 'busybox start-stop-daemon -S -c 1000:1000 -x';
    expect(await guest(`${as} /bin/busybox -- id -u; ${as} /bin/as-root -- id -u`)).toEqual(['1000', '0']);
  });

  // The squashfs module of Debian's user-mode-linux is built without CONFIG_SQUASHFS_XATTR.
  it.runIf(driver === 'qemu')('has file capabilities', async () => {
    const as = 'busybox start-stop-daemon -S -c 1000:1000 -x';
    const status = '-- grep CapEff /proc/self/status';
    const lines = await guest(`${as} /bin/busybox ${status}; ${as} /bin/raw ${status}`);
    expect(lines.map((line) => line.split(/\s+/)[1])).toEqual(['0000000000000000', CAP_NET_RAW]);
  });
});
