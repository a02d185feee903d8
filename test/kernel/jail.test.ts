/**
 * What a guest that has taken over its VMM's process can do: a shell in the very jail a VMM gets tries it. Real bwrap,
 * real pk-jail, as root with another identity, as root without rights, and as an ordinary user.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JailSpec, jailArgv } from '../../src/driver/jail.ts';
import { hostCovers } from '../../src/driver/jail-host.ts';
import { allowedCpus, run, which } from '../../src/sys/process.ts';
import { nativeProgram } from '../native.ts';

const NOBODY = { uid: 65_534, gid: 65_534 };
const isRoot = process.getuid?.() === 0;
const busybox = which('busybox');
const callers = [
  { caller: 'root with an identity', callerUid: 0, identity: NOBODY, prefix: [] as string[] },
  { caller: 'root without rights', callerUid: 0, identity: undefined, prefix: [] },
  {
    caller: 'an ordinary user',
    callerUid: NOBODY.uid,
    identity: undefined,
    prefix: ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'],
  },
];

describe.runIf(isRoot && busybox !== undefined).each(callers)('jail of $caller', ({ callerUid, identity, prefix }) => {
  let base: string;
  let hidden: string;
  let server: Server;
  let volume: string;
  let pkJail: string;
  let connector: string;

  beforeAll(async () => {
    // A name that would break any quoting.
    base = mkdtempSync(join(tmpdir(), "pk jail '$(x) "));
    chmodSync(base, 0o755);
    pkJail = join(base, 'pk-jail');
    copyFileSync(await nativeProgram('pk-jail'), pkJail);
    connector = join(base, 'connect');
    const source = join(import.meta.dirname, '../fixtures/connect.c');
    expect(await run(['musl-gcc', '-static', '-o', connector, source])).toMatchObject({ code: 0, stderr: '' });
    hidden = join(base, 'hidden');
    mkdirSync(hidden);
    writeFileSync(join(hidden, 'secret'), 'secret');
    volume = join(base, 'volume');
    mkdirSync(volume);
    chmodSync(volume, 0o777);
    server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(join(base, 'sock'), resolve));
    chmodSync(join(base, 'sock'), 0o777);
  });
  afterAll(() => {
    server.close();
    rmSync(base, { recursive: true });
  });

  async function inside(script: string, change: Partial<JailSpec> = {}) {
    const argv = jailArgv({
      callerUid,
      bwrap: which('bwrap')!,
      pkJail,
      filter: 'qemu',
      noRandomize: false,
      identity,
      hostCpus: undefined,
      memoryNodes: undefined,
      joinFds: [],
      binds: [{ source: busybox!, target: '/vmm/busybox', access: 'read' }],
      root: { kind: 'host' },
      volumes: [
        { source: volume, target: '/a', readOnly: false },
        { source: volume, target: '/b', readOnly: true },
      ],
      // An ordinary user's own list holds nothing that the user cannot reach.
      covers: hostCovers([hidden]).filter(({ path }) => callerUid === 0 || !path.startsWith('/root/')),
      shmBytes: 1 << 20,
      directory: join(base, 'run dir'),
      program: ['/vmm/busybox', 'sh', '-c', script],
      ...change,
    });
    return await run([...prefix, ...argv], { deadlineMs: 20_000 });
  }
  /** Output of a script in which `$B` runs a busybox applet. */
  async function said(script: string, change?: Partial<JailSpec>): Promise<string> {
    const { stdout, stderr } = await inside(`B=/vmm/busybox; R=/export/root; ${script}`, change);
    return stdout + stderr;
  }

  it('has no capability, cannot gain one, and is filtered', async () => {
    const status = await said('$B cat /proc/self/status');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb', 'CapBnd'])
      expect(status).toContain(`${set}:\t${'0'.repeat(16)}\n`);
    expect(status).toContain('NoNewPrivs:\t1\n');
    expect(status).toContain('Seccomp:\t2\n');
  });

  it('has the identity it should and no groups of root', async () => {
    const { uid, gid } = identity ?? (callerUid === 0 ? { uid: 0, gid: 0 } : NOBODY);
    const status = await said('$B cat /proc/self/status');
    expect(status).toContain(`Uid:\t${uid}\t${uid}\t${uid}\t${uid}\n`);
    expect(status).toContain(`Gid:\t${gid}\t${gid}\t${gid}\t${gid}\n`);
    if (identity !== undefined) expect(status).toMatch(/Groups:\t\s*\n/);
  });

  it('sees an almost empty root', async () => {
    expect((await said('$B ls /')).split('\n').filter(Boolean)).toEqual(['dev', 'export', 'proc', 'tmp', 'vmm'].sort());
    const disk = await said('$B ls /export; $B ls /dev', { root: { kind: 'directory', path: volume } });
    expect(disk).not.toMatch(/vda|sda|kvm|mem$/m);
  });

  it('cannot see control sockets, kernel interfaces and hidden directories', async () => {
    expect(
      await said(`for d in run proc sys dev; do $B ls -A $R/$d; done; $B ls -A "$R/${hidden.replaceAll('$', '\\$')}"`),
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
    expect(tried.stdout).toBe('Operation not permitted\n');
    expect(await said('$B nc 127.0.0.1 1 < /dev/null')).toMatch(/not supported|not permitted/i);
    expect((await said('$B cat /proc/net/dev')).split('\n').filter((line) => line.includes(':'))).toHaveLength(1);
  });

  it('cannot become root through a setuid program', async () => {
    const uid = await said('$R/usr/bin/su -c id root < /dev/null; $B id -u');
    if (callerUid !== 0 || identity !== undefined) expect(uid).not.toMatch(/uid=0/);
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
});
