/**
 * Whom a command in a guest runs as, and whose the files of its root are, on every form of root and on real kernels: the rule
 * is the same in `pk run`, `pk exec`, the API and stack files.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { which } from '../../src/sys/process.ts';
import { Sandbox } from '../support/pk.ts';

const isRoot = process.getuid?.() === 0;
/** Uid, gid, groups and HOME, a line. */
const WHO =
  'while read k v rest; do case $k in Uid:|Gid:) echo -n "$v ";; Groups:) echo -n "[$v $rest] ";; esac; done < /proc/self/status; echo "$HOME"';

let sandbox: Sandbox;
let base: string;
const roots: { kind: string; path: string }[] = [];

function addForms(root: string): void {
  const archive = `${root}.tar`;
  execFileSync('tar', ['-C', root, '-cf', archive, '.']);
  const squashfs = `${root}.squashfs`;
  execFileSync(which('mksquashfs')!, [root, squashfs, '-quiet', '-no-progress'], { stdio: 'ignore' });
  const ext4 = `${root}.ext4`;
  execFileSync(which('mkfs.ext4')!, ['-q', '-d', root, ext4, '16M']);
  roots.push({ kind: 'directory', path: root }, { kind: 'tar', path: archive });
  roots.push({ kind: 'squashfs', path: squashfs }, { kind: 'ext4', path: ext4 });
}

/** A line without the space that ends a list of groups. */
const line = (text: string) => text.replace(/ *\]/, ']').trim();

beforeAll(async () => {
  sandbox = await Sandbox.create();
  base = mkdtempSync(join(tmpdir(), 'pk-users-'));
  chmodSync(base, 0o755);
  const root = join(base, 'root');
  for (const each of ['bin', 'etc', 'dev', 'proc', 'sys', 'run', 'tmp', 'root', 'home/app'])
    mkdirSync(join(root, each), { recursive: true });
  cpSync(which('busybox')!, join(root, 'bin/busybox'));
  for (const each of ['sh', 'cat', 'sleep', 'httpd']) symlinkSync('busybox', join(root, 'bin', each));
  writeFileSync(
    join(root, 'etc/passwd'),
    `${'+'.repeat(70_000)}\nroot:x:4294967295:0::/bad:\nroot:x:0:0:root:/root:/bin/sh\napp:x:1000:50:An App:/home/app:/bin/sh\n`,
  );
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nstaff:x:50:\nextra:x:60:nobody,app\nmore:x:70:app\n');
  writeFileSync(join(root, 'etc/shadow'), 'root:secret\n', { mode: 0o640 });
  writeFileSync(join(root, 'home/app/letter'), 'dear app\n', { mode: 0o600 });
  chmodSync(join(root, 'root'), 0o700);
  chmodSync(join(root, 'home/app'), 0o700);
  if (isRoot) execFileSync('chown', ['-R', '1000:50', join(root, 'home/app')]);
  writeFileSync(join(root, 'etc/hosts'), '10.1.2.3 kept\n');
  if (isRoot) chownSync(join(root, 'etc'), 0, 50);
  chmodSync(join(root, 'etc'), 0o2751);
  addForms(root);
  // The same with an /etc that is a symbolic link, which leads out of it for all but its own processes.
  const linked = join(base, 'linked');
  execFileSync('cp', ['-a', root, linked]);
  mkdirSync(join(linked, 'set'));
  renameSync(join(linked, 'etc'), join(linked, 'set/etc'));
  symlinkSync('/set/etc', join(linked, 'etc'));
  addForms(linked);
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  rmSync(base, { recursive: true });
});

const pathOf = (kind: string) => roots.find((root) => root.kind === kind)!.path;
const linkedOf = (kind: string) => roots.findLast((root) => root.kind === kind)!.path;

describe.each(['uml', 'qemu'])('on %s', (driver) => {
  it.each(['directory', 'tar', 'squashfs', 'ext4'])('users by number and by name of a %s', async (kind) => {
    const name = `who-${driver}-${kind}`;
    const common = ['--driver', driver, '--rootfs', pathOf(kind)];
    await sandbox.ok('run', '-d', '--name', name, ...common, '-u', 'app', '--', 'sleep', '1000');
    const who = async (...options: string[]) => line(await sandbox.ok('exec', ...options, name, '--', 'sh', '-c', WHO));
    expect(await who()).toBe('1000 50 [60 70] /home/app');
    expect(await who('-u', '1000')).toBe('1000 50 [60 70] /home/app');
    expect(await who('-u', 'app:extra')).toBe('1000 60 [] /home/app');
    expect(await who('-u', '1000:7')).toBe('1000 7 [] /home/app');
    expect(await who('-u', '4242')).toBe('4242 0 [] /');
    expect(await who('-u', 'root')).toBe('0 0 [] /root');
    expect(await who('-u', '0', '-e', 'HOME=/x')).toBe('0 0 [] /x');
    for (const [user, reason] of [
      ['nosuch', /no user nosuch in the guest's \/etc\/passwd/],
      ['app:nosuch', /no group nosuch in the guest's \/etc\/group/],
    ] as const)
      expect(await sandbox.pk(['exec', '-u', user, name, '--', 'true'])).toMatchObject({
        code: 126,
        stderr: expect.stringMatching(reason),
      });
    await sandbox.ok('rm', '-f', name);
    expect(line((await sandbox.pk(['run', ...common, '-u', 'app:60', '--', 'sh', '-c', WHO])).stdout)).toBe(
      '1000 60 [] /home/app',
    );
    expect(await sandbox.pk(['run', ...common, '-u', 'nosuch', '--', 'true'])).toMatchObject({ code: 126 });
  });

  it.runIf(isRoot).each(['directory', 'tar', 'squashfs', 'ext4'])('files of a %s are its own users’', async (kind) => {
    const run = (...rest: string[]) => sandbox.pk(['run', '--driver', driver, '--rootfs', pathOf(kind), ...rest]);
    const root = await run('--', 'sh', '-c', 'cat /etc/shadow /home/app/letter && echo hi > /root/x && cat /root/x');
    expect(root).toMatchObject({ code: 0, stdout: 'root:secret\ndear app\nhi\n' });
    const app = await run('-u', '1000', '--', 'sh', '-c', 'cat /home/app/letter; cat /etc/shadow; echo no > /root/x');
    expect(app).toMatchObject({ code: 1, stdout: 'dear app\n' });
  });

  it.runIf(isRoot).each(['directory', 'tar', 'squashfs', 'ext4'])(
    '/etc of a %s has its own owner and mode, and is a link where it is one',
    async (kind) => {
      const look = (path: string) => {
        const words =
          'busybox stat -Lc "%a %u:%g" /etc; busybox readlink /etc; busybox grep -c "^10.1.2.3 kept$" /etc/hosts; cat /etc/hostname';
        const options = ['--driver', driver, '--rootfs', path, '--hostname', 'named', '-u', 'app'];
        return sandbox.pk(['run', ...options, '--', 'sh', '-c', words]);
      };
      expect(await look(pathOf(kind))).toMatchObject({ code: 0, stdout: '2751 0:50\n1\nnamed\n' });
      expect(await look(linkedOf(kind))).toMatchObject({ code: 0, stdout: '2751 0:50\nset/etc\n1\nnamed\n' });
    },
  );

  it.runIf(isRoot)(
    'what its caller may read and write, guest root may through a volume, and a user what is his',
    async () => {
      const closed = join(base, `closed-${driver}`);
      const theirs = join(base, `theirs-${driver}`);
      for (const each of [closed, theirs]) {
        mkdirSync(each, { mode: 0o700 });
        writeFileSync(join(each, 'file'), 'kept\n', { mode: 0o600 });
      }
      for (const each of [theirs, join(theirs, 'file')]) chownSync(each, 104, 104);
      const common = ['--driver', driver, '--rootfs', pathOf('tar')];
      // As the help has it, and detached.
      const volume = ['-v', `${closed}:/data`];
      const here = await sandbox.pk([
        'run',
        ...common,
        ...volume,
        '--',
        'sh',
        '-c',
        'echo hi > /data/x && cat /data/file',
      ]);
      expect(here).toMatchObject({ code: 0, stdout: 'kept\n', stderr: '' });
      expect(statSync(join(closed, 'x')).uid).toBe(0);
      const script = 'cat /data/file && echo more >> /data/file && cat /data/file';
      const users = [
        { name: `closed-${driver}`, options: volume },
        { name: `theirs-${driver}`, options: ['-v', `${theirs}:/data`, '-u', '104'] },
      ];
      for (const { name, options } of users) {
        await sandbox.ok('run', '-d', '--name', name, ...common, ...options, '--', 'sh', '-c', script);
        expect(await sandbox.ok('wait', name)).toBe('0\n');
        expect(await sandbox.ok('logs', name)).toBe('kept\nkept\nmore\n');
      }
      expect(statSync(join(theirs, 'file')).uid).toBe(104);
    },
  );
});

it('and so in the API, in a stack file, and of this machine', async () => {
  const root = pathOf('tar');
  const client = await connect({ home: sandbox.home });
  const request = { driver: 'uml', root, env: {} } as const;
  await client.create({ ...request, name: 'api', command: ['/bin/sh', '-c', WHO], user: 'app' });
  await client.wait('api');
  expect(line(await sandbox.ok('logs', 'api'))).toBe('1000 50 [60 70] /home/app');
  await client.create({ ...request, name: 'api-root', command: ['/bin/sh', '-c', WHO] });
  await client.wait('api-root');
  expect(line(await sandbox.ok('logs', 'api-root'))).toBe('0 0 [] /root');

  const stack = join(base, 'polykernel.yaml');
  // A dollar of the workload's is two in a stack file.
  const kernel = { driver: 'uml', root, command: ['/bin/sh', '-c', WHO.replaceAll('$', '$$$$')], user: 'app:70' };
  writeFileSync(
    stack,
    JSON.stringify({ name: 'users', kernels: { named: kernel, number: { ...kernel, user: 1000 } } }),
  );
  await sandbox.ok('apply', '-f', stack);
  for (const name of ['named', 'number']) await client.wait(name);
  expect(line(await sandbox.ok('logs', 'named'))).toBe('1000 70 [] /home/app');
  expect(line(await sandbox.ok('logs', 'number'))).toBe('1000 50 [60 70] /home/app');

  const [name, , uid, gid, , home] = /^daemon:.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))![0].split(':');
  const ran = await sandbox.pk(['run', '--driver', 'uml', '-w', '/', '-u', name!, '--', 'sh', '-c', WHO]);
  expect(line(ran.stdout)).toMatch(new RegExp(`^${uid} ${gid} \\[.*\\] ${home}$`));
});

describe.runIf(isRoot).each(['uml', 'qemu'])('a volume that its guest gives away, on %s', (driver) => {
  it('is its own at the next start, as databases want it', async () => {
    const volume = mkdtempSync(join(base, 'given-'));
    const options = ['--driver', driver, '--name', 'giver', '-w', '/', '-v', `${volume}:/data`];
    await sandbox.ok('run', '-d', ...options, '--', 'sh', '-c', 'chown 1000 /data; echo given; exec sleep 1000');
    await expect.poll(() => sandbox.ok('logs', 'giver'), { timeout: 60_000 }).toContain('given');
    expect(statSync(volume).uid).toBe(1000);
    await sandbox.ok('kill', 'giver');
    await sandbox.ok('start', 'giver');
    await sandbox.ok('rm', '-f', 'giver');
  });
});
