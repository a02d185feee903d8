/**
 * The identity table of SECURITY.md, a row each: who the processes of a kernel are on the host, what they may do there,
 * and whose files are, seen from the guest and from the host. Real kernels, started as users start them.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processTree } from '../../../src/driver/shim/launch-threads.ts';
import { cacheDirectory } from '../../../src/sys/paths.ts';
import { asUser, canHaveSubids, SUBIDS, USER } from '../../support/other-user.ts';
import { Sandbox } from '../../support/pk.ts';

const FIRST_RANGE = 0x7100_0000;
const FILES = '000000000000000b';
const NONE = '0'.repeat(16);

interface Daemon {
  daemon: string;
  isUser: boolean;
  withSubids: boolean;
  /** Whose a file of the guest's root, and one of its user 1000, is on the host. */
  rootFile: number;
  userFile: number | undefined;
  caps: string;
}
const daemons: Daemon[] = [
  { daemon: 'root', isUser: false, withSubids: false, rootFile: 0, userFile: 1000, caps: FILES },
  {
    daemon: 'a user with subordinate ids',
    isUser: true,
    withSubids: true,
    rootFile: USER,
    userFile: SUBIDS.start + 999,
    caps: FILES,
  },
  { daemon: 'a user without', isUser: true, withSubids: false, rootFile: USER, userFile: undefined, caps: NONE },
];

interface Process {
  /** Files that it has open and that lie on no mount of its jail. */
  outside: string[];
  uid: string;
  caps: string;
  filtered: string;
  noNewPrivileges: string;
  map: string;
  environment: string[];
}

/** Of memory files and the like the mount is in no list, and their names are no paths. */
function openOutside(pid: number): string[] {
  const mounts = new Set(
    readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
      .split('\n')
      .map((line) => line.split(' ', 1)[0]),
  );
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/${pid}/fd/${fd}`);
      const mount = /^mnt_id:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))![1];
      return !path.startsWith('/') || path.startsWith('/memfd:') || mounts.has(mount) ? [] : [path];
    } catch {
      // It was closed meanwhile.
      return [];
    }
  });
}

/** The processes of a jail, its first one first: below the one that `inspect` names. */
function jailOf(pid: number): Process[] {
  const tree = processTree();
  const all: number[] = [];
  for (const next = [...(tree.get(pid) ?? [])]; next.length > 0; ) {
    const each = next.shift()!;
    all.push(each);
    next.push(...(tree.get(each) ?? []));
  }
  return all.flatMap((each) => {
    try {
      const status = readFileSync(`/proc/${each}/status`, 'utf8');
      const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)![1]!;
      return [
        {
          outside: openOutside(each),
          uid: field('Uid'),
          caps: field('CapEff'),
          filtered: field('Seccomp'),
          noNewPrivileges: field('NoNewPrivs'),
          map: readFileSync(`/proc/${each}/uid_map`, 'utf8').trim().split(/\s+/).join(' '),
          environment: readFileSync(`/proc/${each}/environ`, 'utf8').split('\0').filter(Boolean),
        },
      ];
    } catch {
      return [];
    }
  });
}

const isRoot = process.getuid?.() === 0;

describe.runIf(isRoot && canHaveSubids).each(daemons)('kernels of $daemon', (row) => {
  let base: string;
  let sandbox: Sandbox;
  let volume: string;
  let directory: string;
  let image: string;

  beforeAll(async () => {
    base = mkdtempSync(join(tmpdir(), 'pk-identity-'));
    chmodSync(base, 0o755);
    const mine = (path: string) => row.isUser && chownSync(path, USER, USER);
    const make = (name: string) => {
      const path = join(base, name);
      mkdirSync(path);
      mine(path);
      return path;
    };
    mine(base);
    volume = make('volume');
    writeFileSync(join(volume, 'private'), 'private\n', { mode: 0o600 });
    mine(join(volume, 'private'));
    directory = make('root');
    for (const each of ['bin', 'etc', 'dev', 'proc', 'sys', 'tmp', 'root']) make(`root/${each}`);
    cpSync('/bin/busybox', join(directory, 'bin/busybox'));
    for (const applet of ['sh', 'cat', 'stat', 'touch', 'chown', 'sleep', 'id'])
      execFileSync('ln', ['-s', 'busybox', join(directory, 'bin', applet)]);
    writeFileSync(join(directory, 'etc/shadow'), 'root:secret\n', { mode: 0o640 });
    chmodSync(join(directory, 'root'), 0o700);
    if (!row.isUser) chownSync(join(directory, 'etc/shadow'), 1000, 1000);
    execFileSync('chown', ['-hR', row.isUser ? `${USER}` : '0', join(directory, 'bin')]);
    mine(join(directory, 'etc/shadow'));
    // Nobody but its owner may read the image.
    image = join(base, 'root.squashfs');
    execFileSync('mksquashfs', [directory, image, '-quiet', '-no-progress'], { stdio: 'ignore' });
    chmodSync(image, 0o600);
    mine(image);
    const home = join(base, 'home');
    const env: NodeJS.ProcessEnv = { ...process.env, POLYKERNEL_HOME: home, NO_COLOR: '1', SECRET_OF_CALLER: 'hush' };
    if (row.isUser) {
      const cache = make('cache');
      for (const part of ['native', 'images'])
        cpSync(join(cacheDirectory(), part), join(cache, part), { recursive: true });
      execFileSync('chown', ['-R', `${USER}:${USER}`, cache]);
      Object.assign(env, { HOME: base, POLYKERNEL_CACHE: cache });
    }
    sandbox = new Sandbox(home, env, row.isUser ? asUser(row.withSubids, make('etc')) : []);
  });
  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]();
    rmSync(base, { recursive: true });
  });

  it('shows no guest what another daemon of its user keeps', async () => {
    const home = join(base, 'other');
    const prefix = row.isUser ? asUser(row.withSubids, join(base, 'etc')) : [];
    await using other = new Sandbox(home, { ...sandbox.env, POLYKERNEL_HOME: home }, prefix);
    await other.ok('run', '-d', '--name', 'x', '--driver', 'uml', '--', 'sleep', '1000');
    const script = 'ls /data; ls -A /data/home /data/other';
    const ran = await sandbox.pk(['run', '--driver', 'uml', '-v', `${base}:/data:ro`, '--', 'sh', '-c', script]);
    expect(ran.stdout).toMatch(/^other$/m);
    expect(ran.stdout.split('\n/data/home:\n')[1]).toBe('\n/data/other:\n');
  });

  /** Reads on in the events until one of this kind mentions `text`. */
  async function told(type: string, text: string): Promise<void> {
    const child = sandbox.start('events', '--since', '0', '--json');
    try {
      for await (const line of createInterface({ input: child.stdout! })) {
        const event = JSON.parse(line) as { type: string; message: string };
        if (event.type === type && event.message.includes(text)) return;
      }
      throw new Error(`no event ${type} tells of ${text}`);
    } finally {
      child.kill('SIGKILL');
    }
  }

  const kinds = [
    { kind: 'host', options: () => [] as string[] },
    { kind: 'directory', options: () => ['--rootfs', directory] },
    { kind: 'squashfs', options: () => ['--rootfs', image] },
  ];
  const drivers = ['uml', 'qemu'];
  const rows = drivers.flatMap((driver) => kinds.map((each) => ({ driver, ...each })));

  it.each(rows)('$driver, detached, $kind root: is nobody of the host', async ({ driver, kind, options }) => {
    const name = `${driver}-${kind}`;
    await sandbox.ok('run', '-d', '--name', name, '--driver', driver, ...options(), '--', 'sleep', '1000');
    const { pid } = await sandbox.json<{ pid: number }>('inspect', name);
    const processes = jailOf(pid);
    expect(processes.length).toBeGreaterThan(1);
    for (const each of processes) {
      if (row.isUser) expect(each.uid).toBe(String(USER));
      else expect(Number(each.uid)).toBeGreaterThanOrEqual(FIRST_RANGE);
      expect(each).toMatchObject({ filtered: '2', noNewPrivileges: '1', outside: [] });
      expect(each.caps).toBe(kind === 'squashfs' ? NONE : row.caps);
      expect(each.map.startsWith(`0 ${each.uid} `)).toBe(true);
      expect(each.environment.join()).not.toMatch(/SECRET_OF_CALLER|HOME=|USER=/);
    }
    // Everybody's files, and no others.
    const shadow = await sandbox.pk(['exec', name, '--', 'cat', '/etc/shadow']);
    expect(shadow.code === 0).toBe(kind !== 'host');
    await sandbox.ok('rm', '-f', name);
  });

  it.each(drivers)('%s, in the foreground on the host’s files: sees what its caller sees', async (driver) => {
    const script =
      'cat /etc/shadow > /dev/null && echo read; stat -c %u /etc/shadow; echo x > /etc/x-pk; cat /tmp/* 2>/dev/null | head -c 1';
    const { stdout } = await sandbox.pk(['run', '--driver', driver, '--', 'sh', '-c', script]);
    expect(stdout).toBe(row.isUser ? '65534\n' : 'read\n0\n');
  });

  it.each(drivers)('%s: reads and writes a volume as its caller does, with owners that are true', async (driver) => {
    const script = `cd /data && cat private && stat -c %u . && echo 1 > root-${driver} && touch user-${driver} && chown 1000:1000 user-${driver} && stat -c %u user-${driver}`;
    const { stdout } = await sandbox.pk(['run', '--driver', driver, '-v', `${volume}:/data`, '--', 'sh', '-c', script]);
    expect(stdout).toMatch(/^private\n0\n/);
    if (row.userFile !== undefined) expect(stdout).toMatch(/1000\n$/);
    expect(statSync(join(volume, `root-${driver}`)).uid).toBe(row.rootFile);
    expect(statSync(join(volume, `user-${driver}`)).uid).toBe(row.userFile ?? row.rootFile);
  });

  it.each(drivers)('%s: makes no set-uid file, and set-gid directories', async (driver) => {
    const script = `cd /data && mkdir d-${driver} && chmod 2775 d-${driver} && touch s-${driver} && for m in 4755 2755 6755; do chmod $m s-${driver} && echo bad; done; mkdir d-${driver}/in && stat -c %a d-${driver}`;
    const { stdout } = await sandbox.pk(['run', '--driver', driver, '-v', `${volume}:/data`, '--', 'sh', '-c', script]);
    expect(stdout).toBe('2775\n');
    expect(statSync(join(volume, `s-${driver}`)).mode & 0o6000).toBe(0);
    expect(statSync(join(volume, `d-${driver}`)).mode & 0o7777).toBe(0o2775);
    if (!row.isUser) {
      const allowed = `chmod 4755 /data/s-${driver} && stat -c %a /data/s-${driver}`;
      const ran = await sandbox.pk([
        'run',
        '--driver',
        driver,
        '-v',
        `${volume}:/data:suid`,
        '--',
        'sh',
        '-c',
        allowed,
      ]);
      expect(ran.stdout).toBe('4755\n');
    } else {
      const ran = await sandbox.pk(['run', '--driver', driver, '-v', `${volume}:/data:suid`, '--', 'true']);
      expect(ran).toMatchObject({ code: 125, stderr: expect.stringMatching(/only root may let a kernel/) });
    }
  });

  it('gives away no ids that it does not have, and says so before the start', async () => {
    const ran = await sandbox.pk(['run', '--driver', 'uml', '-u', '104', '-v', `${volume}:/data`, '--', 'true']);
    if (row.userFile !== undefined) return expect(ran.code).toBe(0);
    expect(ran).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/could belong to nobody but you[\s\S]*uidmap/),
    });
  });

  if (row.withSubids)
    it('lets its user remove what its kernels left', async () => {
      const script =
        'mkdir /data/theirs && touch /data/theirs/x && chown -R 1000:1000 /data/theirs && chmod 700 /data/theirs';
      await sandbox.ok('run', '--driver', 'uml', '-v', `${volume}:/data`, '--', 'sh', '-c', script);
      const removed = await sandbox.pk(['unshare', 'rm', '-r', join(volume, 'theirs')]);
      expect(removed).toMatchObject({ code: 0, stderr: '' });
      expect(() => statSync(join(volume, 'theirs'))).toThrow(/ENOENT/);
      expect((await sandbox.pk(['unshare', '--', 'sh', '-c', 'exit 7'])).code).toBe(7);
    });

  if (!row.isUser)
    it('shows what cannot be mapped as everybody sees it, says so, and gives its ids to nobody else', async () => {
      // Mounted where what is told of it in lines could break.
      const volume = join(base, 'ramfs');
      const ram = join(volume, 'in\nside');
      mkdirSync(ram, { recursive: true });
      execFileSync('mount', ['-t', 'ramfs', 'pk-test', ram]);
      const shown = ['--driver', 'uml', '-v', `${volume}:/data`, '--', 'sleep', '1000'];
      try {
        chmodSync(ram, 0o777);
        await sandbox.ok('run', '-d', '--name', 'plain', ...shown);
        await sandbox.ok('exec', 'plain', '--', 'touch', '/data/in\nside/left');
        await told('unmapped', volume);
        const left = statSync(join(ram, 'left')).uid;
        expect(left).toBeGreaterThanOrEqual(FIRST_RANGE);
        await sandbox.ok('rm', '-f', 'plain');
        await sandbox.ok('run', '-d', '--name', 'next', ...shown);
        await sandbox.ok('exec', 'next', '--', 'touch', '/data/in\nside/other');
        expect(statSync(join(ram, 'other')).uid).not.toBe(left);
        await sandbox.ok('rm', '-f', 'next');
      } finally {
        execFileSync('umount', [ram]);
      }
    });
});
