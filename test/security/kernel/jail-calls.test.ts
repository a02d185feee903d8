/** Which system calls a program in the jail gets through, and what its first process does for it. A shell in the jail of a VMM tries. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../src/sys/process.ts';
import { callers, type Jail, jailsRun, openJail, probe } from '../../support/jail.ts';
import { USER } from '../../support/other-user.ts';

describe.runIf(jailsRun).each(callers)('jail of $caller', (caller) => {
  const { isUser } = caller;
  let jail: Jail;
  beforeAll(async () => {
    jail = await openJail(caller);
  });
  afterAll(() => jail.close());

  it('refuses what a program in place of the VMM would try', async () => {
    const { volume, inside } = jail;
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
    // Who is killed for a call has the host write a record of it.
    if (process.arch === 'x64') expect(others).toMatchObject({ x32: 'ENOSYS', 'call-of-32-bits': 'ENOSYS' });
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

  it('lets QEMU alone make a system call filter, one, for it can have the host write a record of each call', async () => {
    const { inside } = jail;
    const change = {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
      program: ['/vmm/probe', '/export/vol0', 'filters'],
    };
    expect((await inside('', { ...change, filter: 'uml' })).stdout).toBe(
      'question EPERM\nempty EPERM\nseccomp EPERM\nsecond EPERM\nprctl-seccomp EPERM\nprctl ok\n',
    );
    expect((await inside('', change)).stdout).toBe(
      'question ok\nempty EFAULT\nseccomp ok\nsecond EPERM\nprctl-seccomp EPERM\nprctl ok\n',
    );
  });

  it('lets User Mode Linux trace nobody in a way that two who trace each other outlive every signal', async () => {
    const { inside } = jail;
    const { stdout } = await inside('', {
      filter: 'uml',
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
      program: ['/vmm/probe', '/export/vol0', 'tracing'],
    });
    expect(stdout).toBe(
      'seize-to-its-end EPERM\nseize ok\nto-its-end EPERM\nto-its-end-of-old EPERM\ncalls-alone ok\n',
    );
  });

  it('neither waits at locks that programs of the host have in files which it can read, nor has them wait elsewhere', async () => {
    const { volume, inside } = jail;
    writeFileSync(join(volume, 'lock'), Buffer.alloc(4096));
    const change = {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
      program: ['/vmm/probe', '/export/vol1/lock', 'locks'],
    };
    const refused = 'wait EAGAIN\nwait-bits EAGAIN\nrequeue ENOSYS\ncompare-requeue ENOSYS\n';
    const newer = 'wait-of-many ENOSYS\nwait-newly ENOSYS\nrequeue-newly ENOSYS\n';
    const own = 'own ETIMEDOUT\nown-requeue ok\nwake ok\nthread ok\n';
    const all = refused + refused + newer;
    expect((await inside('', { ...change, filter: 'uml' })).stdout).toBe(`${all}event EAGAIN\n${own}`);
    expect((await inside('', change)).stdout).toBe(`${all}event ETIMEDOUT\n${own}`);
    rmSync(join(volume, 'lock'));
  });

  it('has nothing put away that others have in memory of files which it can read', async () => {
    const { volume, inside } = jail;
    writeFileSync(join(volume, 'read-often'), Buffer.alloc(16 * 4096), { flush: true });
    // Whoever owns a file, or may write to it, may have it put away from a mapping.
    if (isUser) chownSync(join(volume, 'read-often'), USER, USER);
    const { stdout } = await inside('', {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
      program: ['/vmm/probe', '/export/vol1/read-often', 'put-away'],
    });
    expect(stdout).toBe('16\n16\n16\n');
    rmSync(join(volume, 'read-often'));
  });

  it('has the lock of no file for as long as a disk takes, nor of a directory for all of its names', async () => {
    const { volume, inside } = jail;
    const change = {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
      program: ['/vmm/probe', '/export/vol0', 'long-calls'],
    };
    const direct = 'open EINVAL\nopenat EINVAL\nopenat-of-old EINVAL\nopenat2 ENOSYS\nset-flags EPERM\n';
    const names = process.arch === 'x64' ? 'names EINVAL\nnames-of-old EINVAL\n' : 'names EINVAL\n';
    const all = `${direct}${names}plain ok\nplain-flags ok\nplain-names ok\n`;
    for (const filter of ['uml', 'qemu']) expect((await inside('', { ...change, filter })).stdout, filter).toBe(all);
    const volumes = [{ source: volume, target: '/a', readOnly: false, maySetId: true }];
    expect((await inside('', { ...change, volumes })).stdout).toBe(all);
    rmSync(join(volume, 'file'));
  });

  it('has no memory that the host merges with that of others, even where its starter has', async () => {
    const { insideArgv } = jail;
    const argv = insideArgv('', {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
      program: ['/vmm/probe', '/export/vol0', 'merging'],
    });
    // -1: this kernel merges nothing.
    expect((await run([await probe(), '/', 'merging', ...argv])).stdout).toMatch(/^merged (0|-1)\n$/);
  });

  it('lets QEMU alone make machines of KVM, whose threads nobody counts, and few', async () => {
    const { inside } = jail;
    const change = {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
      program: ['/vmm/probe', '/export/vol0', 'machines'],
    };
    expect((await inside('', { ...change, filter: 'uml' })).stdout).toBe('machines 0\n');
    expect((await inside('', change)).stdout).toBe('machines 8\n');
  });

  it('asks a network card for little, for each time has the lock of all who change an interface of the host', async () => {
    const { inside } = jail;
    const { stdout } = await inside('', {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
      program: ['/vmm/probe', '/export/vol0', 'tap-requests'],
    });
    expect(stdout).toBe('requests 1024\nchanges 1024\nmachine ok\n');
  });

  it('puts no epoll into another, for which it would have a lock of all who do', async () => {
    const { inside } = jail;
    const change = {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
      program: ['/vmm/probe', '/export/vol0', 'epolls'],
    };
    const third = (result: string) => (process.arch === 'x64' ? `third ${result}\n` : '');
    expect((await inside('', { ...change, filter: 'uml' })).stdout).toBe(
      `first ok\npipe-in-it ok\nsecond EPERM\n${third('EPERM')}one-in-the-other EBADF\n`,
    );
    expect((await inside('', change)).stdout).toBe(
      `first ok\npipe-in-it EPERM\nsecond ok\n${third('ok')}one-in-the-other EPERM\n`,
    );
  });

  it('lets a machine of KVM have its CPUs and no more, for each of which nobody counts a megabyte', async () => {
    const { inside } = jail;
    const change = {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
      program: ['/vmm/probe', '/export/vol0', 'machine-cpus'],
    };
    const refused = '2 EPERM\n3ff EPERM\n100000002 EPERM\n';
    expect((await inside('', change)).stdout).toBe(`0 EPERM\n1 EPERM\n${refused}`);
    expect((await inside('', { ...change, machineCpus: 2 })).stdout).toBe(`0 passes\n1 passes\n${refused}`);
  });

  it('makes plain machines of KVM alone, and asks for nothing that none of ours needs', async () => {
    const { inside } = jail;
    const change = {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
      program: ['/vmm/probe', '/export/vol0', 'machine-requests'],
    };
    const said = (await inside('', change)).stdout.trim().split('\n');
    const passes = said.filter((line) => line.endsWith(' passes')).map((line) => line.slice(0, -' passes'.length));
    expect(passes).toEqual(['ae00', 'ae80', 'aea3', 'aee0', 'kind 0']);
    expect(said).toHaveLength(26);
  });

  it('asks no file system of the host for what that has beside calls, such as a snapshot of all that it shows and covers', async () => {
    const { inside } = jail;
    const change = {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
      program: ['/vmm/probe', '/export/vol0', 'request-types'],
    };
    expect((await inside('', { ...change, filter: 'uml' })).stdout).toBe('54 version EPERM\n'.repeat(2));
    expect((await inside('', change)).stdout).toBe('3b 54 ae version passes\n'.repeat(2));
  });

  it('has descriptors once and not for each of its processes, for the kernel keeps what nobody counts of each directory', async () => {
    const { inside } = jail;
    const change = {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' as const }],
      program: ['/vmm/probe', '/export/vol0', 'tables'],
      rlimits: { nofile: 1000 },
      mayFork: false,
    };
    const few =
      'files 256 of 1000\nmore-files EPERM\nmore-files-64 EPERM\nthread-apart EPERM\nforks 15\nthread ok\nconsole ok\n';
    const all = 'files 1000 of 1000\nfork EPERM\nvfork EPERM\nprogram EPERM\nunshared EPERM\n';
    expect((await inside('', { ...change, filter: 'uml' })).stdout).toBe(few + all);
    expect((await inside('', change)).stdout).toBe(
      'files 1000 of 1000\nmore-files ok\nmore-files-64 ok\nthread-apart EPERM\nforks 0\nthread ok\nconsole EAFNOSUPPORT\n' +
        'files 1000 of 1000\nfork EPERM\nvfork EPERM\nshared EPERM\nunshared EPERM\n',
    );
  });

  it('uses up little of what the host kernel counts for each user, and nothing of root', async () => {
    const { volume, inside } = jail;
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
    const { inside } = jail;
    const { stdout } = await inside('', {
      filter: 'uml',
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
      program: ['/vmm/probe', '/export/vol0', 'console'],
    });
    expect(stdout).toContain('console ok\n');
    expect(stdout).toContain('shutdown ok\n');
    // Linux 6.16 takes no descriptor there, whose end could be its first process's to wait for.
    const [major, minor] = release().split('.').map(Number) as [number, number];
    expect(stdout).toContain(`descriptor ${major > 6 || (major === 6 && minor >= 16) ? 'EPERM' : 'ok'}\n`);
    expect(Number(/^ticks (\d+)$/m.exec(stdout)![1])).toBeLessThan(5);
  });

  it('has a first process that takes little of a CPU, whatever it is given to do', async () => {
    const { inside } = jail;
    const { stdout } = await inside('', {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
      program: ['/vmm/probe', '/export/vol0', 'burden'],
      rlimits: { nproc: 600 },
    });
    const [, ticks, seconds] = /^ticks (\d+)\nseconds (\d+)$/m.exec(stdout)!.map(Number);
    // A twentieth of each second, and the end of what was begun.
    expect(ticks).toBeLessThan(5 * (seconds! + 1) + 10);
  }, 30_000);

  it('ends with its VMM even where its first process has taken all the time that it may', async () => {
    const { volume, inside } = jail;
    await inside('', {
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
      program: ['/vmm/probe', '/export/vol0', 'end-in-a-rest'],
    });
    // Of a CPU, in ms; some 800 are left of the rest.
    expect(readFileSync(join(volume, 'after')).readUInt32LE()).toBeLessThan(200);
    rmSync(join(volume, 'after'));
  }, 30_000);

  it('gives the sockets that were made outside no name in the network namespace of the host', async () => {
    const { insideArgv } = jail;
    const [file, ...args] = insideArgv('', {
      filter: 'uml',
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
      program: ['/vmm/probe', '/export/vol0', 'names'],
    });
    const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
    let said = '';
    child.stdout!.on('data', (chunk) => {
      said += String(chunk);
    });
    await once(child, 'close');
    // User Mode Linux wants to hear that it has.
    expect(said).toBe('bind ok\ngetsockname ok\nbytes 0\n'.repeat(2));
  });

  it('has a first process that passes on no answer of the management console that was not asked for', async () => {
    const { insideArgv } = jail;
    const [file, ...args] = insideArgv('', {
      filter: 'uml',
      binds: [{ source: await probe(), target: '/vmm/probe', access: 'read' }],
      program: ['/vmm/probe', '/export/vol0', 'answers'],
    });
    const child = spawn(file!, args, { stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'] });
    const line = child.stdio[4] as Duplex;
    const ended = once(child, 'close');
    let told = '';
    line.on('data', (chunk) => {
      told += String(chunk);
    });
    let said = '';
    child.stdout!.on('data', (chunk) => {
      if (!said.includes('early ok\n') && `${said}${chunk}`.includes('early ok\n')) line.write('version\n');
      said += String(chunk);
    });
    await ended;
    expect(said).toBe('early ok\ncommand ok\n');
    expect(told).toBe('ok asked\n');
  });
});
