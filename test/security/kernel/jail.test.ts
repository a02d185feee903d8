/** What a program in the jail is: its owner, rights, processes, CPUs and memory. A shell in the jail of a VMM tries. */
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allowedCpus, run } from '../../../src/sys/process.ts';
import { busybox, callers, type Jail, jailsRun, openJail } from '../../support/jail.ts';

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

describe.runIf(jailsRun).each(callers)('jail of $caller', (caller) => {
  const { outside, files, isUser } = caller;
  let jail: Jail;
  beforeAll(async () => {
    jail = await openJail(caller);
  });
  afterAll(() => jail.close());

  it('may lock memory when it is told how much, and none else', async () => {
    const locked = async (change = {}) => {
      const said = await jail.said('$B cat /proc/self/limits', change);
      return /Max locked memory +(\d+) +(\d+) /.exec(said)?.slice(1) ?? said;
    };
    expect(await locked()).toEqual(['0', '0']);
    // To raise it takes more than root has everywhere; it is told no more than the test may.
    if (!isUser) expect(await locked({ lockedBytes: 2 ** 16 })).toEqual(['65536', '65536']);
  });

  it.runIf(!isUser)('sees doors that come while it runs, and opens its own', async () => {
    const doors = mkdtempSync(join(tmpdir(), 'pk-doors-'));
    // Files stand for the nodes of devices, which not every root can make.
    const door = (name: string, owner: number) => {
      const path = join(doors, `${name}.new`);
      writeFileSync(path, '', { mode: 0o600 });
      chownSync(path, owner, owner);
      renameSync(path, join(doors, name));
    };
    try {
      chmodSync(doors, 0o755);
      const said = jail.said(
        'i=0; while [ ! -e /dev/vfio/8 ] && [ $i -lt 3000 ]; do i=$((i + 1)); $B usleep 10000; done;' +
          'for n in 7 8; do (echo x > /dev/vfio/$n) 2>/dev/null && echo opened $n; done; (echo y > /dev/vfio/new) 2>/dev/null || echo made none',
        {
          binds: [
            { source: busybox!, target: '/vmm/busybox', access: 'read' },
            { source: doors, target: '/dev/vfio', access: 'device' },
          ],
        },
      );
      door('7', 0);
      door('8', outside);
      expect(await said).toBe('opened 8\nmade none\n');
    } finally {
      rmSync(doors, { recursive: true });
    }
  });

  it('has rights over the files of its own ids at most, cannot gain any, and is filtered', async () => {
    const { volume, said } = jail;
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
    const { base, volume, server, inside, said } = jail;
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
    const { said } = jail;
    expect((await said('$B env')).split('\n').filter(Boolean).sort()).toEqual(
      expect.arrayContaining(['PATH=/usr/bin:/bin']),
    );
    expect(await said('$B env')).not.toMatch(/HOME=|USER=|POLYKERNEL|npm/);
    expect(await said('$B cat /proc/1/environ')).toMatch(/Permission denied/);
  });

  it('sees only its own processes', async () => {
    const { said } = jail;
    const pids = (await said('$B ls /proc')).split('\n').filter((name) => /^\d+$/.test(name));
    expect(pids.length).toBeLessThan(5);
    expect(await said(`$B kill -9 ${process.pid}`)).toMatch(/No such process/);
  });

  it('cannot make namespaces, mounts or device nodes', async () => {
    const { said } = jail;
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
    const { base, connector, inside, said } = jail;
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
    const { said } = jail;
    const uid = await said('$R/usr/bin/su -c id root < /dev/null; $B id -u');
    // Root inside, without a right that root outside has.
    expect(uid).not.toMatch(/uid=0\(root\).*\n0/);
  });

  it('has bounded memory-backed files', async () => {
    const { said } = jail;
    expect(await said('$B dd if=/dev/zero of=/dev/shm/big bs=1M count=3')).toMatch(/No space left/);
  });

  it('runs where it was pinned, with a fixed address space where asked', async () => {
    const { said } = jail;
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
    const { said } = jail;
    const cpu = allowedCpus().at(-1)!;
    const attempt = '$B taskset -p ff $$; $B grep Cpus_allowed_list /proc/self/status';
    const answer = await said(attempt, { hostCpus: [cpu] });
    expect(answer).toContain('Operation not permitted');
    expect(answer).toContain(`Cpus_allowed_list:\t${cpu}\n`);
  });

  it('has all its memory on the nodes it is bound to, or does not run', async () => {
    const { inside, said } = jail;
    expect(await said("$B grep '.heap.' /proc/self/numa_maps", { memoryNodes: [0] })).toMatch(/ bind:0 /);
    expect(await inside('true', { memoryNodes: [1023] })).toMatchObject({
      code: 125,
      stderr: expect.stringContaining('--mems 1023'),
    });
  });

  it('reports how the program ended', async () => {
    const { inside } = jail;
    expect(await inside('exit 7')).toMatchObject({ code: 7 });
    expect(await inside('kill -6 $$')).toMatchObject({ code: 134 });
  });

  it('leaves no core dump', async () => {
    const { said } = jail;
    expect(await said('ulimit -c')).toBe('0\n');
    // No limit holds where the host sends dumps to a socket.
    expect(await said('$B cat /proc/self/coredump_filter')).toBe('00000000\n');
  });
});
