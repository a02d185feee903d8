/**
 * What a guest that has taken over its VMM's process can do: a shell in the very jail a VMM gets tries it. Real pk-cell,
 * bwrap and pk-jail, for each kind of identity: as root, as a user with subordinate ids, as a user without.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostCovers } from '../../../src/driver/jail/host.ts';
import { type JailSpec, jailArgv } from '../../../src/driver/jail/jail.ts';
import type { Identity } from '../../../src/sys/identity.ts';
import { allowedCpus, run, which } from '../../../src/sys/process.ts';
import { TEST_RANGE } from '../../support/identity.ts';
import { nativeProgram } from '../../support/native.ts';
import { asUser, SUBIDS, USER } from '../../support/other-user.ts';

const isRoot = process.getuid?.() === 0;
const busybox = which('busybox');
const mappers = ['newuidmap', 'newgidmap'].map((name) => which(name));
const callers: { caller: string; identity: Identity; outside: number; files: boolean; isUser: boolean }[] = [
  { caller: 'root', identity: TEST_RANGE, outside: TEST_RANGE.start, files: true, isUser: false },
  {
    caller: 'a user with subordinate ids',
    identity: { kind: 'subids', uids: SUBIDS, gids: SUBIDS, newuidmap: mappers[0]!, newgidmap: mappers[1]! },
    outside: USER,
    files: true,
    isUser: true,
  },
  { caller: 'a user without', identity: { kind: 'single' }, outside: USER, files: false, isUser: true },
];

const scratch = mkdtempSync(join(tmpdir(), 'pk-probe-'));
chmodSync(scratch, 0o755);
afterAll(() => rmSync(scratch, { recursive: true }));
let built: Promise<string> | undefined;
function probe(): Promise<string> {
  built ??= (async () => {
    const program = join(scratch, 'probe');
    const source = join(import.meta.dirname, '../../fixtures/probe.c');
    expect(await run(['musl-gcc', '-static', '-o', program, source])).toMatchObject({ code: 0, stderr: '' });
    return program;
  })();
  return built;
}

/** User ids, on the host, of the processes in the pid namespace of the jail whose pk-cell names this directory. */
function jailUids(directory: string): string[] {
  const statuses = readdirSync('/proc').flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? [{ pid, status: readFileSync(`/proc/${pid}/status`, 'utf8') }] : [];
    } catch {
      return [];
    }
  });
  const parents = statuses
    .filter(({ pid }) => {
      try {
        const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return argv[0]!.endsWith('bwrap') && argv.some((word) => word.startsWith(directory));
      } catch {
        return false;
      }
    })
    .map(({ pid }) => pid);
  const below = new Set(parents);
  const uids: string[] = [];
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, status } of statuses) {
      const parent = /^PPid:\t(\d+)/m.exec(status)![1]!;
      if (below.has(pid) || !below.has(parent)) continue;
      below.add(pid);
      grown = true;
      if (/^NSpid:\t\d+\t/m.test(status) && !/^Name:\tbwrap/m.test(status))
        uids.push(/^Uid:\t(\d+)/m.exec(status)![1]!);
    }
  }
  return uids;
}

describe.runIf(isRoot && busybox !== undefined).each(callers)(
  'jail of $caller',
  ({ identity, outside, files, isUser }) => {
    let base: string;
    let hidden: string;
    let server: Server;
    let volume: string;
    let pkCell: string;
    let pkJail: string;
    let connector: string;

    beforeAll(async () => {
      // A name that would break any quoting.
      base = mkdtempSync(join(tmpdir(), "pk jail '$(x) "));
      chmodSync(base, 0o755);
      pkJail = join(base, 'pk-jail');
      copyFileSync(await nativeProgram('pk-jail'), pkJail);
      pkCell = join(base, 'pk-cell');
      copyFileSync(await nativeProgram('pk-cell'), pkCell);
      connector = join(base, 'connect');
      const source = join(import.meta.dirname, '../../fixtures/connect.c');
      expect(await run(['musl-gcc', '-static', '-o', connector, source])).toMatchObject({ code: 0, stderr: '' });
      hidden = join(base, 'hidden');
      mkdirSync(hidden);
      writeFileSync(join(hidden, 'secret'), 'secret');
      volume = join(base, 'volume');
      mkdirSync(volume);
      if (isUser) chownSync(volume, USER, USER);
      mkdirSync(join(base, 'etc'));
      mkdirSync(join(base, 'run dir'));
      chownSync(join(base, 'run dir'), isUser ? USER : 0, isUser ? USER : 0);
      server = createServer((socket) => socket.destroy());
      await new Promise<void>((resolve) => server.listen(join(base, 'sock'), resolve));
      chmodSync(join(base, 'sock'), 0o777);
    });
    afterAll(() => {
      server.close();
      rmSync(base, { recursive: true });
    });

    function insideArgv(script: string, change: Partial<JailSpec>): string[] {
      const argv = jailArgv({
        identity,
        bwrap: which('bwrap')!,
        pkCell,
        pkJail,
        filter: 'qemu',
        noRandomize: false,
        hostCpus: undefined,
        memoryNodes: undefined,
        joinFds: [],
        binds: [{ source: busybox!, target: '/vmm/busybox', access: 'read' }],
        root: { kind: 'host', mapped: true },
        volumes: [
          { source: volume, target: '/a', readOnly: false },
          { source: volume, target: '/b', readOnly: true },
        ],
        // An ordinary user's own list holds nothing that the user cannot reach.
        covers: hostCovers([hidden]).filter(({ path }) => !isUser || !path.startsWith('/root/')),
        uncovered: [{ path: base }],
        memoryFiles: [{ target: '/dev/shm', bytes: 1 << 20, inodes: 16, mode: '1777' }],
        directory: join(base, 'run dir'),
        program: ['/vmm/busybox', 'sh', '-c', script],
        ...change,
      });
      const prefix = isUser ? asUser(true, join(base, 'etc')) : [];
      return [...prefix, ...argv];
    }
    const inside = async (script: string, change: Partial<JailSpec> = {}) =>
      await run(insideArgv(script, change), { deadlineMs: 20_000 });
    /** Output of a script in which `$B` runs a busybox applet. */
    async function said(script: string, change?: Partial<JailSpec>): Promise<string> {
      const { stdout, stderr } = await inside(`B=/vmm/busybox; R=/export/root; ${script}`, change);
      return stdout + stderr;
    }

    it('has rights over the files of its own ids at most, cannot gain any, and is filtered', async () => {
      const status = await said('$B cat /proc/self/status');
      const rights = files ? '000000000000000b' : '0'.repeat(16);
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb', 'CapBnd'])
        expect(status).toContain(`${set}:\t${rights}\n`);
      expect(status).toContain('NoNewPrivs:\t1\n');
      expect(status).toContain('Seccomp:\t2\n');
      const image = await said('$B cat /proc/self/status', { root: { kind: 'directory', path: volume }, volumes: [] });
      expect(image).toContain(`CapEff:\t${rights}\n`);
    });

    it('is root inside and nobody of the host, in every process and from the first', async () => {
      const status = await said('$B cat /proc/self/status');
      expect(status).toContain('Uid:\t0\t0\t0\t0\n');
      expect(status).toContain('Gid:\t0\t0\t0\t0\n');
      if (!isUser) expect(status).toMatch(/Groups:\t\s*\n/);
      const map = (await said('$B cat /proc/self/uid_map')).trim().split(/\s+/).map(Number);
      expect(map.slice(0, 2)).toEqual([0, outside]);
      expect(map.includes(0, 1)).toBe(false);
      // Seen from outside while it runs; all processes of the jail are in its pid namespace.
      const seen = new Promise<string[]>((resolve) => {
        server.once('connection', () => {});
        const look = setInterval(() => {
          const uids = jailUids(base);
          if (uids.length < 2) return;
          clearInterval(look);
          resolve(uids);
        }, 5);
      });
      const running = inside('while $B test ! -e /export/vol0/go; do $B usleep 10000; done; $B rm /export/vol0/go', {
        program: [
          '/vmm/busybox',
          'sh',
          '-c',
          'B=/vmm/busybox; while $B test ! -e /export/vol0/go; do $B usleep 10000; done',
        ],
      });
      const uids = await seen;
      writeFileSync(join(volume, 'go'), '');
      await running;
      rmSync(join(volume, 'go'));
      expect(new Set(uids)).toEqual(new Set([String(outside)]));
    });

    it('starts with a small fixed environment, and its first process shows none', async () => {
      expect((await said('$B env')).split('\n').filter(Boolean).sort()).toEqual(
        expect.arrayContaining(['PATH=/usr/bin:/bin']),
      );
      expect(await said('$B env')).not.toMatch(/HOME=|USER=|POLYKERNEL|npm/);
      expect(await said('$B cat /proc/1/environ')).toMatch(/Permission denied/);
    });

    it('sees owners as they are, and gives them where it has ids to give', async () => {
      const [uid, given] = isUser ? [USER, SUBIDS.start + 999] : [0, 1000];
      const script =
        'cd /export/vol0; $B touch mine; $B chown 1000:1000 mine; $B stat -c "%u:%g" . mine; $B ls -ldn $R/etc | $B cut -c1-30';
      const told = (await said(script)).split('\n');
      expect(statSync(join(volume, 'mine')).uid).toBe(files ? given : uid);
      rmSync(join(volume, 'mine'));
      if (!files) expect(told.join('\n')).toMatch(/chown: .*Invalid argument/);
      expect(told).toContain('0:0');
      if (files) expect(told).toContain('1000:1000');
      // Root's foreground sees the machine with root's eyes; who is not root sees strangers' files as nobody's.
      const shadow = await said('$B cat $R/etc/shadow > /dev/null && echo read; $B stat -c %u $R/etc/shadow');
      expect(shadow).toMatch(!isUser ? /^read\n0\n/ : /^65534\n.*Permission denied/);
      const plain = await said('$B cat $R/etc/shadow', { root: { kind: 'host' } });
      expect(plain).toMatch(/Permission denied/);
    });

    it('refuses what a program in place of the VMM would try', async () => {
      const tries = join(volume, 'tries');
      mkdirSync(tries);
      if (isUser) chownSync(tries, USER, USER);
      const ran = await inside('', {
        binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
        program: ['/vmm/probe', '/export/vol0/tries'],
      });
      const found = Object.fromEntries(
        ran.stdout
          .trim()
          .split('\n')
          .map((line) => line.split(' ')),
      );
      const { mkdir, ...others } = found;
      expect(mkdir).toBe('ok');
      const allowed = [
        'chmod-plain',
        'chmod-sgid-dir',
        'fchmod-sgid-dir',
        'fchmodat-sgid-dir',
        'chmod-sgid-long',
        'chmod-sgid-many',
      ];
      for (const [name, result] of Object.entries(others)) {
        if (allowed.includes(name)) expect(result, name).toBe('ok');
        else if (name === 'mkdir-suid') expect(['EPERM', 'ok']).toContain(result);
        else expect(result, name).toMatch(/^(EPERM|ENOSYS|EACCES|EAFNOSUPPORT|ESRCH|ENOENT|EOPNOTSUPP)$/);
      }
      for (const name of ['unknown-call', 'newer-call', 'openat2-suid', 'clone3'])
        expect(others[name], name).toBe('ENOSYS');
      expect(Object.keys(others).length).toBeGreaterThan(45);
      // Whatever was answered, nothing of it is there.
      for (const name of readdirSync(tries)) {
        const { mode, isDirectory } = {
          mode: statSync(join(tries, name)).mode,
          isDirectory: statSync(join(tries, name)).isDirectory(),
        };
        expect(mode & 0o4000, name).toBe(0);
        if (!isDirectory) expect(mode & 0o2000, name).toBe(0);
      }
      expect(statSync(join(tries, 'dir')).mode & 0o7777).toBe(0o2755);
      rmSync(tries, { recursive: true });
    });

    it('shows no interface of the host kernel in a root or a volume that holds the whole machine', async () => {
      const told = await said('for d in root vol0; do $B ls /export/$d/proc /export/$d/sys; $B ls /export/$d; done', {
        root: { kind: 'directory', path: '/' },
        volumes: [{ source: '/', target: '/host', readOnly: false }],
        covers: [],
      });
      expect(told).toContain('usr\n');
      expect(told).not.toMatch(/^(self|kernel)$/m);
      // Nor in one that holds what a host root covers.
      const beside = await said('$B ls /export/vol0/proc /export/vol0/sys', {
        volumes: [{ source: '/', target: '/host', readOnly: true }],
      });
      expect(beside).toContain('/export/vol0/proc:');
      expect(beside).not.toMatch(/^(self|kernel)$/m);
    });

    it('covers an interface of the kernel however deep in a volume it lies', async () => {
      const host = `cd "$0" && n=$(printf '%0250d' 0) && i=0
        while [ $i -lt 40 ]; do mkdir $n && cd $n || exit; i=$((i + 1)); done
        mount -i -t proc proc . || busybox mount -t proc proc . || exit; cd "$0"; "$@"`;
      const guest = '/vmm/busybox grep /0000 /proc/self/mountinfo | /vmm/busybox grep -c " covered "';
      const argv = ['unshare', '-m', '--propagation', 'private', 'bash', '-c', host, volume, ...insideArgv(guest, {})];
      const ended = await run(argv, { deadlineMs: 20_000 });
      await run(['rm', '-rf', join(volume, '0'.repeat(250))]);
      expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[1-9]/) });
    });

    it('cannot unmount what it is not shown by removing what that is mounted on', async () => {
      const host = `mkdir "$0/way" && : > "$0/name" && mount -t proc proc "$0/way" && mount --bind /proc/version "$0/name" || exit
        "$@"; test -e "$0/way/self" && grep -q Linux "$0/name" && echo kept`;
      const guest = `cd /export/vol0; /vmm/busybox ls way; /vmm/busybox cat name
        /vmm/busybox rmdir way || echo no; /vmm/busybox rm name || echo no`;
      const argv = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', host, volume, ...insideArgv(guest, {})];
      const { stdout } = await run(argv, { deadlineMs: 20_000 });
      for (const name of ['way', 'name']) rmSync(join(volume, name), { recursive: true, force: true });
      expect(stdout).toBe('no\nno\nkept\n');
    });

    it('shows what is its own empty in whatever holds it, and where a link stands in its place shows nothing', async () => {
      const link = join(base, 'link');
      symlinkSync('hidden', link);
      const told = await said('$B ls /export/root/hidden; $B ls /export/vol0; $B ls /export/vol0/hidden', {
        root: { kind: 'directory', path: base },
        volumes: [{ source: base, target: '/base', readOnly: false }],
        covers: [],
        own: [hidden, join(base, 'never made'), link],
      });
      rmSync(link);
      expect(told).toContain('volume\n');
      expect(told).not.toContain('secret');
    });

    it('lets QEMU alone make system call filters, whose code takes from what the whole host has', async () => {
      const change = {
        binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
        program: ['/vmm/probe', '/export/vol0', 'filters'],
      };
      expect((await inside('', { ...change, filter: 'uml' })).stdout).toBe(
        'seccomp EPERM\nprctl-seccomp EPERM\nprctl ok\n',
      );
      expect((await inside('', change)).stdout).toBe('seccomp ok\nprctl-seccomp ok\nprctl ok\n');
    });

    it('uses up little of what the host kernel counts for each user, and nothing of root', async () => {
      const queued = () => Number(/^SigQ:\t(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]);
      const before = queued();
      const running = inside('', {
        binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
        program: ['/vmm/probe', '/export/vol0', 'counted'],
      });
      let most = 0;
      const look = setInterval(() => {
        most = Math.max(most, queued() - before);
      }, 5);
      setTimeout(() => writeFileSync(join(volume, 'stop'), ''), 500);
      const { stdout } = await running;
      clearInterval(look);
      rmSync(join(volume, 'stop'));
      const [timers, queue] = stdout.trim().split('\n');
      expect(Number(timers!.split(' ')[1])).toBeLessThanOrEqual(1024);
      expect(queue).not.toBe('queue ok');
      expect(most).toBeLessThan(500);
    });

    it('has a first process that sleeps whatever is done to the management console', async () => {
      const { stdout } = await inside('', {
        filter: 'uml',
        binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
        program: ['/vmm/probe', '/export/vol0', 'console'],
      });
      expect(stdout).toContain('console ok\nshutdown ok\n');
      expect(Number(/^ticks (\d+)$/m.exec(stdout)![1])).toBeLessThan(5);
    });

    it('has a first process that passes on no answer of the management console that was not asked for', async () => {
      const [file, ...args] = insideArgv('', {
        filter: 'uml',
        binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
        program: ['/vmm/probe', '/export/vol0', 'answers'],
      });
      const jail = spawn(file!, args, { stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'] });
      const line = jail.stdio[4] as Duplex;
      const ended = once(jail, 'close');
      let told = '';
      line.on('data', (chunk) => {
        told += String(chunk);
      });
      let said = '';
      jail.stdout!.on('data', (chunk) => {
        if (!said.includes('early ok\n') && `${said}${chunk}`.includes('early ok\n')) line.write('version\n');
        said += String(chunk);
      });
      await ended;
      expect(said).toBe('early ok\ncommand ok\n');
      expect(told).toBe('ok asked\n');
    });

    it('lets files become set-uid where that was asked for', async () => {
      const volumes = [{ source: volume, target: '/a', readOnly: false, maySetId: true }];
      expect(await said('cd /export/vol0; $B touch s; $B chmod 4755 s; $B stat -c %a s', { volumes })).toBe('4755\n');
      rmSync(join(volume, 's'));
    });

    it('does not start when a volume is not what it was, and says so', async () => {
      const place = join(base, 'open place');
      mkdirSync(place);
      chmodSync(place, 0o777);
      const given = join(place, 'given');
      mkdirSync(given);
      const owner = isUser ? USER : 0;
      chownSync(given, owner, owner);
      const seen = { path: given, uid: owner, inode: String(statSync(given, { bigint: true }).ino) };
      const volumes = [{ source: given, target: '/a', readOnly: false, seen }];
      expect(await inside('exit 0', { volumes })).toMatchObject({ code: 0 });
      // Another directory, where others can write.
      renameSync(given, `${given}.old`);
      mkdirSync(given);
      chownSync(given, owner, owner);
      expect(await inside('exit 0', { volumes })).toMatchObject({
        code: 125,
        stderr: expect.stringContaining('refused'),
      });
      // The same below directories that only we can write.
      if (!isUser) {
        chmodSync(place, 0o755);
        const sheltered = mkdtempSync('/root/pk-sheltered-');
        mkdirSync(join(sheltered, 'v'));
        const moved = [{ ...volumes[0]!, seen: { path: join(sheltered, 'v'), uid: 0, inode: '1' } }];
        expect(await inside('exit 0', { volumes: moved })).toMatchObject({ code: 0 });
        rmSync(sheltered, { recursive: true });
      }
      chownSync(given, 12_345, 12_345);
      expect(await inside('exit 0', { volumes })).toMatchObject({
        code: 125,
        stderr: expect.stringMatching(/belongs to user 12345 now/),
      });
      rmSync(given, { recursive: true });
      symlinkSync(volume, given);
      expect(await inside('exit 0', { volumes })).toMatchObject({
        code: 125,
        stderr: expect.stringMatching(/symbolic link now/),
      });
      rmSync(place, { recursive: true });
    });

    it('shows a directory below a cover only while it is the one that was given', async () => {
      const place = join(base, 'shared place');
      mkdirSync(place);
      chmodSync(place, 0o777);
      const given = join(place, 'given');
      mkdirSync(given);
      const owner = isUser ? USER : 0;
      chownSync(given, owner, owner);
      writeFileSync(join(given, 'own'), '');
      const seen = { path: given, uid: owner, inode: String(statSync(given, { bigint: true }).ino) };
      const script = `/vmm/busybox ls "/export/root$GIVEN"`;
      const look = () => inside(`GIVEN='${given.replaceAll("'", "'\\''")}'; ${script}`, { uncovered: [seen] });
      expect(await look()).toMatchObject({ code: 0, stdout: 'own\n' });
      renameSync(given, `${given}.old`);
      symlinkSync(hidden, given);
      expect(await look()).toMatchObject({ code: 125, stderr: expect.stringMatching(/symbolic link now/) });
      rmSync(place, { recursive: true });
    });

    it('follows no symbolic link in roots and volumes: what a VMM opens lies where its guest looked', async () => {
      symlinkSync('/proc', join(volume, 'way'));
      symlinkSync('/proc/version', join(volume, 'end'));
      mkdirSync(join(volume, 'real'));
      symlinkSync('volume/real', join(base, 'inner'));
      const script = `cd /export/vol0; $B readlink end; $B cat end; $B cat way/version; $B cat /export/vol1/end; $B ls -d real;
        cd "$R/${base.replaceAll(/["$]/g, '\\$&')}"; $B readlink inner; $B ls inner/`;
      const told = (await said(script)).split('\n').filter(Boolean);
      for (const name of ['end', 'way', 'real']) rmSync(join(volume, name), { recursive: true });
      rmSync(join(base, 'inner'));
      const refused = told.filter((each) => /Symbolic link loop|Too many levels/.test(each));
      expect(told.filter((each) => !refused.includes(each))).toEqual(['/proc/version', 'real', 'volume/real']);
      expect(refused).toHaveLength(4);
    });

    it('leaves no mount, and shows none that is made later', async () => {
      const before = (await run(['cat', '/proc/self/mountinfo'])).stdout;
      await inside('exit 0');
      expect((await run(['cat', '/proc/self/mountinfo'])).stdout).toBe(before);
      expect(readdirSync(join(base, 'run dir', 'trees'))).toEqual([]);
      expect(await said('$B grep -c shared: /proc/self/mountinfo; $B grep -c master: /proc/self/mountinfo')).toBe(
        '0\n0\n',
      );
    });

    it('sees an almost empty root', async () => {
      expect((await said('$B ls /')).split('\n').filter(Boolean)).toEqual(
        ['dev', 'export', 'proc', 'tmp', 'vmm'].sort(),
      );
      const disk = await said('$B ls /export; $B ls /dev', { root: { kind: 'directory', path: volume } });
      expect(disk).not.toMatch(/vda|sda|kvm|mem$/m);
    });

    it('cannot see control sockets, kernel interfaces and hidden directories', async () => {
      expect(
        await said(
          `for d in run proc sys dev; do $B ls -A $R/$d; done; $B ls -A "$R/${hidden.replaceAll('$', '\\$')}"`,
        ),
      ).toBe('');
    });

    it('sees only its own processes', async () => {
      const pids = (await said('$B ls /proc')).split('\n').filter((name) => /^\d+$/.test(name));
      expect(pids.length).toBeLessThan(5);
      expect(await said(`$B kill -9 ${process.pid}`)).toMatch(/No such process/);
    });

    it('cannot write anywhere on the host', async () => {
      const mounts = await said('$B cat /proc/self/mountinfo');
      // What lies below another mount at the same place cannot be reached: the last one counts.
      const reachable = new Map(
        mounts
          .split('\n')
          .filter(Boolean)
          .map((line) => [line.split(' ')[4]!, line.split(' ')[5]!]),
      );
      const writable = [...reachable].filter(([, options]) => !/(^|,)ro(,|$)/.test(options)).map(([path]) => path);
      // In /dev these are single device nodes, and the bounded /dev/shm.
      const own = [
        '/dev/null',
        '/dev/zero',
        '/dev/full',
        '/dev/random',
        '/dev/urandom',
        '/dev/tty',
        '/dev/pts',
        '/dev/shm',
        '/tmp',
        '/export/vol0',
      ];
      const outside = writable.filter(
        (path) => !own.some((allowed) => path === allowed || path.startsWith(`${allowed}/`)),
      );
      // A cover over a directory hides what was mounted in it.
      expect(outside.filter((path) => !/^\/export\/root\/(dev|proc|sys|run)\//.test(path))).toEqual([]);
      for (const path of [
        '/x',
        '/vmm/x',
        '/export/x',
        '$R/tmp/x',
        '$R/x',
        '/export/vol1/x',
        '$R/proc/x',
        '/proc/sys/kernel/core_pattern',
      ]) {
        expect(await said(`echo no > "${path}"`), path).toMatch(/Read-only|Permission denied|nonexistent|can't create/);
      }
      expect(await said('echo yes > /export/vol0/x && $B cat /export/vol1/x')).toBe('yes\n');
      expect(readdirSync(volume)).toEqual(['x']);
      rmSync(join(volume, 'x'));
    });

    it('writes into no FIFO of the host but in its volumes, and renames and links there', async () => {
      const fifo = join(base, 'fifo');
      const own = join(volume, 'fifo');
      for (const path of [fifo, own]) expect(await run(['mkfifo', '-m', '666', path])).toMatchObject({ code: 0 });
      chmodSync(fifo, 0o666);
      chmodSync(own, 0o666);
      const root = `"/export/root$FIFO"`;
      const tell = `FIFO='${fifo.replaceAll("'", "'\\''")}'; `;
      expect(await said(`${tell}$B test -p ${root} && echo there; echo x 1<> ${root}`)).toMatch(
        /^there\n.*Permission denied/,
      );
      expect(await said('(echo x >&7; $B head -c 2 <&7) 7<> /export/vol0/fifo')).toBe('x\n');
      const moves =
        'cd /export/vol0; $B mkdir a b; echo x > a/f; $B mv a/f b/g; $B ln b/g a/h; $B cat a/h; $B rm -r a b fifo';
      expect(await said(moves)).toBe('x\n');
      rmSync(fifo);
    });

    it('cannot make namespaces, mounts or device nodes', async () => {
      for (const option of ['-U', '-m', '-n', '-p', '-i', '-u']) {
        expect(await said(`$B unshare ${option} $B true`), option).toMatch(/Operation not permitted/);
      }
      expect(await said('$B mount -t tmpfs none /tmp')).toMatch(/denied|not permitted/);
      expect(await said('$B umount $R/proc')).toMatch(/denied|not permitted/);
      expect(await said('$B mount -o remount,rw $R')).toMatch(/denied|not permitted/);
      expect(await said('$B chroot $R /bin/true')).toMatch(/not permitted/);
      expect(await said('$B mknod /tmp/vda b 254 0')).toMatch(/not permitted/);
      expect(await said('$B nsenter -t 1 -m $B true')).toMatch(/not permitted|denied|No such/);
    });

    it('cannot connect to anything, and has no network', async () => {
      const path = join(base, 'sock');
      expect((await run([connector, path])).stdout).toBe('connected\n');
      // The socket file can be seen in a host root; reaching it is another matter.
      const binds = [{ source: connector, target: '/vmm/connect', access: 'read' } as const];
      const tried = await inside('', { binds, program: ['/vmm/connect', `/export/root${path}`] });
      expect(tried.stdout).not.toContain('connected');
      expect(tried.code).not.toBe(0);
      expect(await said('$B nc 127.0.0.1 1 < /dev/null')).toMatch(/not supported|not permitted/i);
      expect((await said('$B cat /proc/net/dev')).split('\n').filter((line) => line.includes(':'))).toHaveLength(1);
    });

    it('cannot become root through a setuid program', async () => {
      const uid = await said('$R/usr/bin/su -c id root < /dev/null; $B id -u');
      // Root inside, without a right that root outside has.
      expect(uid).not.toMatch(/uid=0\(root\).*\n0/);
    });

    it('has bounded memory-backed files', async () => {
      expect(await said('$B dd if=/dev/zero of=/dev/shm/big bs=1M count=3')).toMatch(/No space left/);
    });

    it('runs where it was pinned, with a fixed address space where asked', async () => {
      const cpu = allowedCpus().at(-1)!;
      expect(await said('$B grep Cpus_allowed_list /proc/self/status', { hostCpus: [cpu] })).toBe(
        `Cpus_allowed_list:\t${cpu}\n`,
      );
      const stacks = new Set<string>();
      for (let round = 0; round < 2; round++)
        stacks.add(await said("$B grep '.stack.' /proc/self/maps", { noRandomize: true }));
      expect(stacks.size).toBe(1);
    });

    it('cannot leave the CPUs it was pinned to', async () => {
      const cpu = allowedCpus().at(-1)!;
      const attempt = '$B taskset -p ff $$; $B grep Cpus_allowed_list /proc/self/status';
      const answer = await said(attempt, { hostCpus: [cpu] });
      expect(answer).toContain('Operation not permitted');
      expect(answer).toContain(`Cpus_allowed_list:\t${cpu}\n`);
    });

    it('has all its memory on the nodes it is bound to, or does not run', async () => {
      expect(await said("$B grep '.heap.' /proc/self/numa_maps", { memoryNodes: [0] })).toMatch(/ bind:0 /);
      expect(await inside('true', { memoryNodes: [1023] })).toMatchObject({
        code: 125,
        stderr: expect.stringContaining('--mems 1023'),
      });
    });

    it('reports how the program ended', async () => {
      expect(await inside('exit 7')).toMatchObject({ code: 7 });
      expect(await inside('kill -6 $$')).toMatchObject({ code: 134 });
    });

    it('leaves no core dump', async () => {
      expect(await said('ulimit -c')).toBe('0\n');
    });
  },
);
