/** Sizes that change and CPUs that change hands, on real kernels of QEMU; what each says is what its own programs see. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Sandbox, until } from '../support/pk.ts';

let sandbox: Sandbox;
const MIB = 2 ** 20;

interface Status {
  size: { cpus: number; memoryBytes: number };
  bootId: string;
}

beforeAll(async () => {
  sandbox = await Sandbox.create();
  for (const [name, cpus] of [
    ['web', '1'],
    ['batch', '3'],
  ] as const) {
    const bounds = ['--cpus', cpus, '--elastic-cpus', '1-4', '-m', '192M', '--elastic-memory', '160M-256M'];
    await sandbox.ok('run', '-d', '--name', name, '--driver', 'qemu', ...bounds, '--', 'sleep', '100000');
  }
}, 300_000);
afterAll(() => sandbox[Symbol.asyncDispose]());

interface Lean extends Status {
  pid: number;
  real: { limits: { memoryBytes: number } | null };
}

/** Bytes of the host that the memory of a kernel of User Mode Linux takes, whose jail that is. */
function ramTaken(jail: number): number {
  const pids = [jail];
  for (const pid of pids) {
    for (const name of readdirSync(`/proc/${pid}/fd`)) {
      const path = `/proc/${pid}/fd/${name}`;
      if (readlinkSync(path).startsWith('/dev/shm/')) return statSync(path).blocks * 512;
    }
    pids.push(
      ...readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
    );
  }
  throw new Error(`nothing below ${jail} has memory in /dev/shm`);
}

/** As its programs see them, and as it is recorded. */
async function sizes(name: string) {
  const { size } = await sandbox.json<Status>('inspect', name);
  const seen = await sandbox.ok('exec', name, '--', 'sh', '-c', 'nproc; cat /proc/meminfo');
  return {
    cpus: size.cpus,
    mib: size.memoryBytes / MIB,
    online: Number(/^\d+/.exec(seen)![0]),
    totalKib: Number(/MemTotal: +(\d+)/.exec(seen)![1]),
  };
}

it('starts with a part of its machine, and changes that while it runs', async () => {
  const { bootId } = await sandbox.json<Status>('inspect', 'web');
  const before = await sizes('web');
  expect(before).toMatchObject({ cpus: 1, mib: 192, online: 1 });
  expect(await sandbox.ok('update', 'web', '--cpus', '3', '--memory', '256M')).toBe(
    'web: 1 -> 3 CPUs, 192 MiB -> 256 MiB\n',
  );
  const larger = await sizes('web');
  const told = 'cpus=3\nmemory_bytes=268435456\n';
  expect(await sandbox.ok('exec', 'web', '--', 'cat', '/run/pk/size')).toBe(told);
  expect(larger).toMatchObject({ cpus: 3, mib: 256, online: 3, totalKib: before.totalKib + 64 * 1024 });
  await sandbox.ok('update', 'web', '--cpus', '1', '--memory', '192M');
  expect(await sizes('web')).toEqual(before);
  expect((await sandbox.json<Status>('inspect', 'web')).bootId).toBe(bootId);
});

it('moves CPUs and memory between two kernels, and keeps what each has over a restart', async () => {
  await sandbox.ok('move', 'cpu', '--from', 'batch', '--to', 'web');
  await sandbox.ok('move', 'memory', '32M', '--from', 'batch', '--to', 'web');
  expect(await sizes('web')).toMatchObject({ cpus: 2, mib: 224, online: 2 });
  expect(await sizes('batch')).toMatchObject({ cpus: 2, mib: 160, online: 2 });
  await sandbox.ok('restart', 'web');
  expect(await sizes('web')).toMatchObject({ cpus: 2, mib: 224, online: 2 });
  await sandbox.ok('move', 'memory', '32M', '--from', 'web', '--to', 'batch');
});

it('takes memory from a kernel of User Mode Linux, which the host has then, and gives it back', async () => {
  const bounds = ['-m', '128M', '--elastic-memory', '64M-128M'];
  await sandbox.ok('run', '-d', '--name', 'lean', '--driver', 'uml', ...bounds, '--', 'sleep', '100000');
  const seen = async () => {
    const { size, real, bootId, pid } = await sandbox.json<Lean>('inspect', 'lean');
    const text = await sandbox.ok('exec', 'lean', '--', 'cat', '/proc/meminfo');
    const availableMib = Number(/MemAvailable: +(\d+)/.exec(text)![1]) / 1024;
    const limit = real.limits!.memoryBytes / MIB;
    return { mib: size.memoryBytes / MIB, availableMib, limit, takenMib: ramTaken(pid) / MIB, bootId };
  };
  // All that it has was used once, and is free now: the host does not know that.
  const fill = 'head -c 60M /dev/zero > /tmp/full; rm /tmp/full; echo well';
  expect(await sandbox.ok('exec', 'lean', '--', 'sh', '-c', fill)).toBe('well\n');
  const before = await seen();
  expect(before.takenMib).toBeGreaterThan(60);
  await sandbox.ok('update', 'lean', '--memory', '80M');
  const small = await seen();
  expect(small).toMatchObject({ mib: 80, limit: before.limit - 48, bootId: before.bootId });
  expect(small.takenMib).toBeLessThan(81);
  expect(small.availableMib).toBeLessThan(before.availableMib - 40);
  expect(await sandbox.ok('exec', 'lean', '--', 'cat', '/run/pk/size')).toBe(`cpus=1\nmemory_bytes=${80 * MIB}\n`);
  await sandbox.ok('update', 'lean', '--memory', '128M');
  expect(await seen()).toMatchObject({ mib: 128, limit: before.limit });
  expect(await sandbox.ok('exec', 'lean', '--', 'sh', '-c', fill)).toBe('well\n');
  await sandbox.ok('rm', '-f', 'lean');
});

it('refuses what its bounds do not allow, and leaves all as it was', async () => {
  const refused = await sandbox.pk(['move', 'cpu', '--from', 'batch', '--to', 'web', '--count', '2']);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('batch cannot have 0 CPUs');
  expect(await sizes('batch')).toMatchObject({ cpus: 2, online: 2 });
});

it.runIf(process.getuid!() === 0)(
  'moves a share of a CPU between kernels of either driver, held by the host',
  async (test) => {
    const pool = await sandbox.pk(['pool', 'init', '--cpus', '1', '--shared', '1', '--memory', '512M']);
    // There is one for the machine.
    if (pool.stderr.includes('has the pool of this machine')) test.skip(pool.stderr);
    expect(pool).toMatchObject({ code: 0 });
    for (const [name, driver, share] of [
      ['small', 'uml', '0.25'],
      ['large', 'qemu', '0.7'],
    ] as const) {
      const bounds = ['--share', share, '--elastic-cpus', '0.1-0.9', '-m', '192M'];
      await sandbox.ok('run', '-d', '--name', name, '--driver', driver, ...bounds, '--', 'sleep', '100000');
    }
    const held = async (name: string) => {
      const { size, real } = await sandbox.json<Status & { real: { mostCpus: number } }>('inspect', name);
      return [size.cpus, real.mostCpus];
    };
    expect([await held('small'), await held('large')]).toEqual([
      [0.25, 0.25],
      [0.7, 0.7],
    ]);
    await sandbox.ok('move', 'cpu', '--from', 'large', '--to', 'small', '--count', '0.6');
    expect([await held('small'), await held('large')]).toEqual([
      [0.85, 0.85],
      [0.1, 0.1],
    ]);
    const refused = await sandbox.pk(['update', 'large', '--cpus', '0.2']);
    expect(refused.stderr).toContain('shared CPU');
    await sandbox.ok('restart', 'small');
    expect(await held('small')).toEqual([0.85, 0.85]);
    await sandbox.ok('rm', '-f', 'small', 'large');
    await sandbox.ok('pool', 'release');
  },
);

it('splits CPUs as a policy wishes, says why, and leaves alone what is held', async () => {
  await sandbox.ok('update', 'web', '--cpus', '1');
  await sandbox.ok('update', 'batch', '--cpus', '3');
  await sandbox.ok('balance', 'hold', 'web', '--for', '1h');
  await sandbox.ok('balance', 'policy', 'static');
  await sandbox.ok('balance', 'on');
  await until('it is seen', async () => (await sandbox.ok('balance', 'status')).includes('batch'));
  expect(await sizes('web')).toMatchObject({ cpus: 1 });
  await sandbox.ok('balance', 'hold', 'web', '--end');
  await until('they are alike', async () => (await sizes('web')).online === 2 && (await sizes('batch')).online === 2);
  const why = await sandbox.ok('balance', 'why', 'web');
  expect(why).toMatch(/1 CPU from (batch|the free ones) to web/);
  expect(why).toContain('(static; done)');
  expect(why).toContain('web 1 -> 2: the pool is split evenly over 2 kernels');
  await sandbox.ok('balance', 'off');
}, 120_000);
