/**
 * A host that kerf manages, taken over by a whole daemon and handed back, on the model of the host kernel's interface; kerf is played by
 * the same writes that it does.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { kerfText } from '../../src/cli/kerf/text.ts';
import type { Change } from '../../src/devicetree/multikernel/index.ts';
import { KernelFiles } from '../../src/driver/multikernel/interface.ts';
import { MachinePart } from '../../src/driver/multikernel/machine.ts';
import { kerfLease } from '../../src/pool/pool-lease.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { HOST, startDaemon } from '../support/harness.ts';
import { networkCard } from '../support/machines.ts';
import { Emulator } from '../support/multikernel/emulator.ts';
import { spawnKernel } from '../support/multikernel/images.ts';
import { AS_READ, MACHINE, OTHERWISE } from '../support/multikernel/switches.ts';
import { canServe } from '../support/silent-mount.ts';

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const FUNCTION = '0000:09:00.1';
const WHOLE = { poolCpus: [], poolFunctions: [], chunks: [], instances: [] };

let home: string;
let emulator: Emulator;
/** As kerf writes. */
let kerf: KernelFiles;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pk-kerf-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const path = (name: string) => join(home, name);

/** A pool of five CPUs and 2 GiB; `web` runs and has a function, `db` is loaded, `spare` is ready. */
async function kerfMakes(): Promise<void> {
  await kerf.baseline({ cpus: [2, 4, 6, 8, 10], memory: [{ bytes: 2 * GIB, node: 0 }] });
  const create = (name: string, cpus: number[]): Change => ({ target: 'create', name, cpus, memoryBytes: 256 * MIB });
  await kerf.apply([{ target: 'pool', addDevices: [{ address: FUNCTION }, { address: '0000:09:00.2' }] }]);
  await kerf.apply([create('web', [4, 2]), create('db', [6]), create('spare', [8])]);
  await kerf.apply([{ target: 'instance', name: 'web', addDevices: [{ address: FUNCTION }] }]);
  const kernel = path('vmlinux');
  writeFileSync(kernel, spawnKernel());
  const image = { kernel, initramfs: kernel, commandLine: 'quiet' };
  const { calls } = emulator.host;
  for (const name of ['web', 'db']) await calls.load(name, kerf.instance(name)!.id, image);
  await calls.boot('web', kerf.instance('web')!.id);
  mkdirSync(path('kerf'), { recursive: true });
  writeFileSync(
    path('kerf/web.json'),
    JSON.stringify({
      kernel: {
        path: '/boot/vmlinux',
        size: 1,
        sha256: 'ab',
        format: 'vmlinux',
        compression: null,
        version: '7.0.0-mk2',
      },
      initrd: { path: '/boot/initrd', size: 1, sha256: 'cd', compression: 'gzip' },
      rootfs: { source: 'docker', image: 'nginx:1', path: '/var/lib/kerf/rootfs/web', entrypoint: '/init' },
      loaded_at: '2026-11-01T10:00:00Z',
    }),
  );
  writeFileSync(path('kerf/db.json'), '{"kernel": [');
}

async function kerfUnmakes(): Promise<void> {
  for (const { name, id, status } of (await emulator.state()).instances) {
    if (status === 'active') {
      // Until they have parked.
      for (let time = 0; time < 3; time++) await emulator.host.calls.force(name, id);
    }
    if (kerf.status(name) === 'loaded') await emulator.host.calls.unload(name, id);
    await kerf.apply([{ target: 'remove', name }]);
  }
  const { exists, cpus, chunks, functions } = kerf.pool();
  const removeDevices = functions.map(({ address }) => address);
  if (exists) await kerf.apply([{ target: 'pool', removeCpus: cpus, removeDevices, removeMemory: chunks }]);
}

function daemon(more: Parameters<typeof startDaemon>[0] = {}, name = 'a') {
  mkdirSync(path(`state-${name}`), { recursive: true });
  const pci = [networkCard(FUNCTION), networkCard('0000:5e:00.0')];
  return startDaemon({
    kerf: {
      host: async () => emulator.host,
      cache: home,
      files: { instances: path('kerf'), locks: [path('kerf.lock')] },
      lease: kerfLease(path(`state-${name}`), path('run')),
    },
    host: { ...HOST, readTopology: () => ({ ...HOST.readTopology(), pci }) },
    ...more,
  });
}

const WEB = (status: string) => ({ kernels: [{}, {}, { name: 'web', status }] });
const nothing = { pool: null, kernels: [], changes: [] };

// The model of the kernel's interface is a file system of its own: without /dev/fuse, or the right to mount one, there is none.
describe.skipIf(!canServe()).each([
  ['as read', AS_READ],
  ['otherwise', OTHERWISE],
])('on the model, %s', (_, switches) => {
  beforeAll(async () => {
    emulator = await Emulator.start({ guests: 'none', switches, machine: MACHINE });
    emulator.hurry();
    kerf = new KernelFiles(emulator.host.root);
  });
  afterEach(async () => {
    await emulator.faults({});
    await kerfUnmakes();
    expect(await emulator.state()).toMatchObject(WHOLE);
  });
  afterAll(() => emulator.end());

  it('takes over what is there, says so before, and hands it back: nothing is done to it', async () => {
    const test = await daemon();
    const { client } = test;
    expect(await client.kerf()).toEqual(nothing);
    await expect(client.actOnKerf({ act: 'import' })).rejects.toMatchObject({ code: 'not-found' });
    await kerfMakes();
    const before = await emulator.state();
    const dry = await client.actOnKerf({ act: 'import', dryRun: true });
    expect(dry).toMatchObject({ pool: null, kernels: [] });
    expect(dry.changes.map(({ action, what }) => `${action} ${what}`)).toEqual([
      'adopt pool',
      'adopt db',
      'adopt spare',
      'adopt web',
    ]);
    expect((await client.kerf()).pool).toBeNull();
    const report = await client.actOnKerf({ act: 'import' });
    expect(report).toMatchObject({
      pool: { cpus: [2, 4, 6, 8, 10], memoryBytes: 2 * GIB, functions: [FUNCTION, '0000:09:00.2'] },
      kernels: [
        { name: 'db', cpus: [6], status: 'loaded', image: {} },
        { name: 'spare', cpus: [8], status: 'ready' },
        {
          ...{ name: 'web', cpus: [4, 2], memoryBytes: 256 * MIB, functions: [FUNCTION], status: 'active' },
          image: { kernel: '/boot/vmlinux', version: '7.0.0-mk2', initrd: '/boot/initrd', root: 'nginx:1' },
        },
      ],
      ...{ changes: [] },
    });
    expect(await client.actOnKerf({ act: 'import' })).toEqual(report);
    expect(kerfText(report)).toContain('web    1   active  4,2');
    // Nobody else may have its functions.
    const { pci } = await client.topology();
    expect(pci.map(({ hostUse }) => hostUse)).toEqual(["kerf's kernel web", null]);
    const pool = { cpus: [2], sharedCpus: [], memory: { kind: 'share' } as const, devices: [FUNCTION] };
    await expect(client.initPool(pool)).rejects.toMatchObject({ code: 'invalid', field: 'pool.devices' });
    await test.crashAndRestart();
    expect(await client.kerf()).toEqual(report);
    await client.actOnKerf({ act: 'release', keep: true });
    expect(await emulator.state()).toEqual(before);
    expect(await client.kerf()).toMatchObject({ pool: null, kernels: [] });
    await expect(client.actOnKerf({ act: 'release', keep: true })).rejects.toMatchObject({ code: 'not-found' });
  });

  it('stops, boots and removes what it has taken over, and gives the pool back when nobody has part of it', async () => {
    const { client } = await daemon();
    await kerfMakes();
    await expect(client.actOnKerf({ act: 'stop', name: 'web' })).rejects.toMatchObject({ code: 'not-found' });
    await client.actOnKerf({ act: 'import' });
    expect(await client.actOnKerf({ act: 'stop', name: 'web', graceMs: 1000 })).toMatchObject(WEB('loaded'));
    expect(await client.actOnKerf({ act: 'start', name: 'web' })).toMatchObject(WEB('active'));
    expect(await client.actOnKerf({ act: 'start', name: 'web' })).toMatchObject(WEB('active'));
    await expect(client.actOnKerf({ act: 'start', name: 'spare' })).rejects.toMatchObject({
      code: 'conflict',
      message: /ready/,
    });
    await emulator.deafen(true);
    expect(await client.actOnKerf({ act: 'stop', name: 'web', graceMs: 0 })).toMatchObject(WEB('loaded'));
    await emulator.deafen(false);
    await client.actOnKerf({ act: 'start', name: 'web' });
    await expect(client.actOnKerf({ act: 'remove', name: 'web' })).rejects.toMatchObject({
      code: 'conflict',
      message: 'web runs',
    });
    await expect(client.actOnKerf({ act: 'release' })).rejects.toMatchObject({
      code: 'conflict',
      message: /db, spare, web/,
    });
    await client.actOnKerf({ act: 'remove', name: 'web', force: true });
    // As kerf does.
    expect(readdirSync(path('kerf'))).toEqual(['db.json']);
    await client.actOnKerf({ act: 'remove', name: 'db' });
    await expect(client.actOnKerf({ act: 'release' })).rejects.toMatchObject({ code: 'conflict', message: /: spare/ });
    expect((await client.kerf()).kernels.map(({ name }) => name)).toEqual(['spare']);
    await client.actOnKerf({ act: 'remove', name: 'spare' });
    await emulator.faults({ write: 5, item: 5 });
    await client.actOnKerf({ act: 'release' });
    await emulator.faults({});
    expect(await emulator.state()).toMatchObject(WHOLE);
    expect(await client.kerf()).toEqual(nothing);
  });

  it('follows what kerf did meanwhile, and touches nothing that is another one by now', async () => {
    const { client } = await daemon();
    await kerfMakes();
    await client.actOnKerf({ act: 'import' });
    const { id } = kerf.instance('spare')!;
    await kerf.apply([{ target: 'remove', name: 'spare' }]);
    await kerf.apply([{ target: 'create', name: 'spare', id: id + 40, cpus: [10], memoryBytes: 64 * MIB }]);
    await kerf.apply([{ target: 'create', name: 'more', cpus: [8], memoryBytes: 64 * MIB }]);
    writeFileSync(path('kerf/spare.json'), '{}');
    await client.actOnKerf({ act: 'remove', name: 'spare', force: true });
    expect(readdirSync(path('kerf'))).toContain('spare.json');
    expect(kerf.instance('spare')?.id).toBe(id + 40);
    const { changes } = await client.kerf();
    expect(changes.map(({ action, what }) => `${action} ${what}`)).toEqual(['adopt more', 'adopt spare']);
    expect((await client.actOnKerf({ act: 'import' })).kernels.map(({ name }) => name)).toEqual([
      'db',
      'more',
      'spare',
      'web',
    ]);
    await kerfUnmakes();
    expect((await client.kerf()).kernels.map(({ status }) => status)).toEqual(['gone', 'gone', 'gone', 'gone']);
    expect(await client.actOnKerf({ act: 'import' })).toEqual(nothing);
  });

  it('takes over all or nothing: a lock, another daemon, our own pool, half an instance', async () => {
    const test = await daemon();
    const { client } = test;
    await kerfMakes();
    const before = await emulator.state();
    const refused = async (message: RegExp) => {
      await expect(client.actOnKerf({ act: 'import' })).rejects.toMatchObject({ code: 'conflict', message });
      expect((await client.kerf()).pool).toBeNull();
      expect(await emulator.state()).toEqual(before);
    };
    writeFileSync(path('kerf.lock'), '');
    await refused(/kerf is changing something/);
    rmSync(path('kerf.lock'));
    // CPU 3 has the APIC id 6, which is known of a time before kerf took it.
    writeFileSync(
      path('multikernel-cpus.json'),
      JSON.stringify({ bootId: (await import('../../src/sys/host-boot.ts')).hostBootId(), cpus: [[3, 6]] }),
    );
    await client.initPool({ cpus: [3], sharedCpus: [], memory: { kind: 'size', bytes: 64 * MIB }, devices: [] });
    await refused(/CPU 6 is in Polykernel's pool, as CPU 3/);
    await client.releasePool();
    const other = await daemon({}, 'b');
    await other.client.actOnKerf({ act: 'import' });
    await refused(/the daemon of .*state-b has the kerf/);
    await other.client.actOnKerf({ act: 'release', keep: true });
    const part = new MachinePart(emulator.host, 'pk-0123456789ab', path('other-cache'), kerf);
    mkdirSync(path('launch'));
    const memory = [{ node: 0, bytes: 64 * MIB }];
    const placement = { vcpuCpus: [6], memory, hugePageBytes: null, weight: null, mostCpus: null };
    const launch = { directory: path('launch'), cpus: 1, memoryBytes: 64 * MIB, placement };
    await part.take(launch, new AbortController().signal);
    await expect(client.actOnKerf({ act: 'import' })).rejects.toMatchObject({
      message: /another daemon of Polykernel has made it/,
    });
    expect((await client.kerf()).pool).toBeNull();
    await part.giveBack(path('launch'));
    expect((await client.actOnKerf({ act: 'import' })).kernels).toHaveLength(3);
    // Without a placement a kernel of Polykernel has of it what is free: nobody can give that back meanwhile.
    for (const name of ['web', 'db', 'spare']) await client.actOnKerf({ act: 'remove', name, force: true });
    await part.take({ ...launch, placement: undefined }, new AbortController().signal);
    await expect(client.actOnKerf({ act: 'release' })).rejects.toMatchObject({ message: /pool: pk-0123456789ab$/ });
    await part.giveBack(path('launch'));
    await client.actOnKerf({ act: 'release' });
  });

  it('forgets what another boot of the host kernel had, and lets go of what it never took over', async () => {
    const test = await daemon();
    await kerfMakes();
    await test.client.actOnKerf({ act: 'import' });
    await test.daemon.drop();
    const before = await emulator.state();
    const rebooted = await daemon({ home: test.home, host: { ...HOST, bootId: 'another' } });
    expect((await rebooted.client.kerf()).pool).toBeNull();
    await rebooted.daemon.drop();
    // Killed between its lease and its record.
    writeFileSync(path('run/kerf'), `${path('state-a')}\n`);
    const again = await daemon({ home: test.home });
    const other = await daemon({}, 'b');
    expect((await other.client.actOnKerf({ act: 'import' })).kernels).toHaveLength(3);
    await expect(again.client.actOnKerf({ act: 'import' })).rejects.toMatchObject({ code: 'conflict' });
    expect(await emulator.state()).toEqual(before);
  });
});

it('says why nothing can be taken over where there is no such host', async () => {
  const plain = await startDaemon();
  await expect(plain.client.actOnKerf({ act: 'import' })).rejects.toMatchObject({ code: 'unavailable' });
  const none = async () => {
    throw new PolykernelError('unavailable', 'the kernel of this machine has no multikernel support');
  };
  const kerf = { host: none, cache: home, lease: { take: () => {}, drop: () => {} } };
  const { client } = await startDaemon({ kerf });
  await expect(client.kerf()).rejects.toMatchObject({ code: 'unavailable', message: /no multikernel support/ });
});
