/**
 * SR-IOV on emulated hosts, each within ten minutes (dense: forty, for on a busy machine the kernel takes minutes to remove what it made); `npm run test:sriov -- [dense|nested|plugged|igb]`, all without a name. They are no part of
 * `npm test`, which has a small one (test/kernel/sriov.test.ts).
 *
 * dense: eight NVMe controllers of 127 virtual functions each are enabled, listed, leased, released and disabled by the product, with
 * its figures. nested: a kernel within that host is given a function that was leased, as QEMU is by the product, and drives it. plugged:
 * the same while that kernel runs, and it lets go of it again. igb: a network card whose virtual functions are given settings, where QEMU has it.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../bench/row.ts';
import { findQemu } from '../src/driver/qemu/program.ts';
import type { FunctionsReport } from '../src/sriov/contract.ts';
import type { RunIp } from '../src/sriov/network.ts';
import { run } from '../src/sys/process.ts';
import { compareWithLspci } from '../test/support/lspci-compare.ts';
import { modelDaemon, type TestDaemon } from '../test/support/model-daemon.ts';
import { nestedKernel, pluggedKernel } from '../test/support/nested-kernel.ts';
import { functionsOn } from '../test/support/sriov-functions.ts';
import { type EmulatedHost, emulatedHost, type HostShape, hostProgram } from '../test/support/sriov-host.ts';
import { thenCleanUp } from './clean-up.ts';
import { argumentsOrHelp } from './usage.ts';

const CARDS = 8;
const ROUNDS = 3;
const DRIVES = /nvme nvme0: .* queues/;
const VIRTUAL = 127;
const DEADLINE_MS = 600_000;
const DENSE_DEADLINE_MS = 2_400_000;
const PATIENCE = { change: DEADLINE_MS, links: DEADLINE_MS, bind: DEADLINE_MS, reset: DEADLINE_MS };
const PK = join(import.meta.dirname, '../bin/pk');
/** Leased at once, so that as many resets run side by side. */
const LEASES = 64;

const IGB = [
  ...['-device', 'pcie-root-port,id=net,slot=40,chassis=40', '-netdev', 'hubport,id=hub,hubid=0'],
  ...['-device', 'igb,bus=net,netdev=hub,mac=52:54:00:12:34:56'],
];

/** `needs`: a device of QEMU, without which the scene is left out. */
interface Scene {
  shape: HostShape;
  deadlineMs?: number;
  act(host: EmulatedHost): Promise<void>;
  needs?: string;
}

const SCENES: Readonly<Record<string, Scene>> = {
  dense: {
    shape: { cards: CARDS, virtual: VIRTUAL, memoryMib: 2048, sharesFiles: true },
    act: dense,
    deadlineMs: DENSE_DEADLINE_MS,
  },
  nested: { shape: { cards: 1, virtual: 2, memoryMib: 1536, sharesFiles: true }, act: nested },
  igb: {
    shape: { cards: 1, virtual: 2, sharesFiles: true, more: IGB, modules: ['igb'] },
    act: networkCard,
    needs: 'igb',
  },
  plugged: { shape: { cards: 1, virtual: 2, memoryMib: 1536, sharesFiles: true }, act: plugged },
};
const USAGE = 'usage: npm run test:sriov -- [dense|nested|plugged|igb]...';
const asked = argumentsOrHelp(USAGE);
const names = asked.length > 0 ? asked : Object.keys(SCENES);
const unknown = names.find((name) => !Object.hasOwn(SCENES, name));
if (unknown !== undefined) {
  console.error(`test:sriov: there is no scene ${unknown}\n${USAGE}`);
  process.exit(2);
}
for (const name of names) {
  const scene = SCENES[name]!;
  if (scene.needs !== undefined && !(await emulates(scene.needs))) {
    console.log(`${name}: left out, for this QEMU has no ${scene.needs} (version 8 or newer: Debian 12's backports)`);
    continue;
  }
  console.log(name);
  const { deadlineMs = DEADLINE_MS } = scene;
  const leave = new AbortController();
  let host: Promise<EmulatedHost> | undefined;
  try {
    await thenCleanUp(
      async () => {
        host = emulatedHost(scene.shape, deadlineMs, leave.signal);
        await within(deadlineMs, name, scene.act(await host));
      },
      async () => {
        leave.abort();
        await (await host?.catch(() => undefined))?.end();
      },
    );
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    console.error(`${name}: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}

async function within<T>(deadlineMs: number, name: string, work: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`${name} is not done within ${deadlineMs / 60_000} minutes`)),
    deadlineMs,
  );
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const from = performance.now();
  const result = await work();
  console.log(`${((performance.now() - from) / 1000).toFixed(2).padStart(8)} s  ${what}`);
  return result;
}

/** By the product's commands: a daemon here, whose functions are those of the emulated host. */
async function dense(host: EmulatedHost): Promise<void> {
  const first = functionsOn(host.sysfs, PATIENCE);
  const cards = (await first.list()).physical.map(({ address }) => address);
  assert.equal(cards.length, CARDS);
  await besideBare(host, first, cards[0]!);
  const nobody = () => {};
  const { test, end } = await modelDaemon({
    functions: { sysfs: host.sysfs, patience: PATIENCE, take: nobody, drop: nobody },
  });
  try {
    await byCommands(host, test, cards);
  } finally {
    await end();
  }
}

async function byCommands(host: EmulatedHost, test: TestDaemon, cards: readonly string[]): Promise<void> {
  const pk = async (...args: string[]): Promise<string> => {
    const env = { ...process.env, POLYKERNEL_HOME: test.home };
    const { code, stdout, stderr } = await run([PK, ...args], {
      env,
      deadlineMs: DEADLINE_MS,
      maxOutputBytes: 2 ** 28,
    });
    if (code !== 0) throw new Error(`pk ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  };
  const list = async (): Promise<FunctionsReport> => JSON.parse(await pk('sriov', 'ls', '--json'));
  for (const card of cards) {
    const said = await timed(`pk sriov enable ${card} --vfs ${VIRTUAL}`, () =>
      pk('sriov', 'enable', card, '--vfs', String(VIRTUAL), '--json'),
    );
    assert.deepEqual(JSON.parse(said), { address: card, before: 0, now: VIRTUAL, notes: [] });
  }
  const listed = await timed(`pk sriov ls: ${CARDS * VIRTUAL} virtual functions`, list);
  const virtual = listed.physical.flatMap((each) => each.virtual);
  assert.equal(new Set(virtual.map(({ address }) => address)).size, CARDS * VIRTUAL);
  assert.equal(new Set(virtual.map(({ iommuGroup }) => iommuGroup)).size, CARDS * VIRTUAL);
  const dump = await lspciAgrees(host);
  const file = join(test.home, 'dump.txt');
  writeFileSync(file, dump);
  const inventory = JSON.parse(
    await timed('pk pci ls --from that dump', () => pk('pci', 'ls', '--from', file, '--json')),
  );
  assert.ok(virtual.every(({ address }) => inventory.some((each: { address: string }) => each.address === address)));
  await test.create({ name: 'web', command: ['sleep', 'inf'] });
  const leases = await timed(`pk sriov assign vf:nvme --to web, ${LEASES} times`, async () => {
    const taken: { address: string }[] = [];
    for (let count = 0; count < LEASES; count++)
      taken.push(JSON.parse(await pk('sriov', 'assign', 'vf:nvme', '--to', 'web', '--json')));
    return taken;
  });
  assert.equal(new Set(leases.map(({ address }) => address)).size, LEASES);
  const { address } = leases.at(-1)!;
  const group = virtual.find((each) => each.address === address)!.iommuGroup;
  const said = await timed('identify through VFIO', () => host.run('pk-vfio-nvme', String(group), address));
  assert.match(said, /identify controller=\d+ serial=PK\d/);
  await pk('stop', 'web');
  await timed('pk sriov release: reset', () => pk('sriov', 'release', address));
  await timed(`pk rm -f web: ${LEASES - 1} released, each reset`, () => pk('rm', '-f', 'web'));
  for (const card of cards) await timed(`pk sriov disable ${card}`, () => pk('sriov', 'disable', card));
  const left = await list();
  assert.deepEqual([left.leases, left.physical.flatMap((each) => each.virtual)], [[], []]);
}

/** Enabling and a bare write of the same number, in turn, so that both have the same machine. */
async function besideBare(
  host: EmulatedHost,
  functions: ReturnType<typeof functionsOn>,
  address: string,
): Promise<void> {
  const bare = `bus/pci/devices/${address}`;
  await host.sysfs.write(`${bare}/sriov_drivers_autoprobe`, '0');
  const write = (count: number) => host.sysfs.write(`${bare}/sriov_numvfs`, String(count));
  const seconds: Record<'write' | 'enable' | 'kernel' | 'online', number[]> = {
    ...{ write: [], enable: [], kernel: [], online: [] },
  };
  for (let round = 0; round < ROUNDS; round++) {
    seconds.write.push(await secondsOf(() => write(VIRTUAL)));
    await write(0);
    const parts = { kernel: 0, online: 0 };
    const watched = new Proxy(host.sysfs, {
      get(of, name: keyof EmulatedHost['sysfs']) {
        const part = name === 'write' ? 'kernel' : name === 'secondariesOnline' ? 'online' : undefined;
        const method = (of[name] as (...args: unknown[]) => Promise<unknown>).bind(of);
        if (part === undefined) return method;
        return async (...args: unknown[]) => {
          let result: unknown;
          parts[part] += await secondsOf(async () => {
            result = await method(...args);
          });
          return result;
        };
      },
    });
    const own = functionsOn(watched, PATIENCE);
    seconds.enable.push(await secondsOf(() => own.set(VIRTUAL, address)));
    for (const part of ['kernel', 'online'] as const) seconds[part].push(parts[part]);
    await functions.set(0, address);
  }
  const [written, enabled, kernel, online] = (['write', 'enable', 'kernel', 'online'] as const).map((each) =>
    median(seconds[each]),
  ) as [number, number, number, number];
  const all = Object.entries(seconds).map(([name, each]) => `${name} ${each.map((one) => one.toFixed(2)).join(' ')}`);
  console.log(`medians of ${ROUNDS} rounds in turn (${all.join('; ')}):`);
  console.log(
    `  a bare write of ${VIRTUAL} ${written.toFixed(2)} s; enable ${enabled.toFixed(2)} s, of which the same write`,
  );
  console.log(`  ${kernel.toFixed(2)} s, queues and interrupts for ${VIRTUAL} controllers ${online.toFixed(2)} s`);
  console.log(`  enable without the latter is ${((enabled - online) / written).toFixed(3)} of the bare write,`);
  console.log(
    `  with it ${(enabled / written).toFixed(3)}, and ${((enabled - online) / kernel).toFixed(3)} of its own write`,
  );
}

/** Every function of the host, dumped by its own lspci, as we say it and as lspci does. */
async function lspciAgrees(host: EmulatedHost): Promise<string> {
  const dump = await timed('a dump by lspci -xxxx', () => hostProgram(host, 'lspci', '-D', '-xxxx'));
  const { functions, flags, differences } = compareWithLspci(dump);
  console.log(`${functions} functions, ${flags} flags compared with lspci -vvv, ${differences.length} differ`);
  assert.deepEqual(differences.slice(0, 20), []);
  assert.ok(functions > CARDS * VIRTUAL);
  return dump;
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

async function leased(host: EmulatedHost) {
  const functions = functionsOn(host.sysfs);
  const [card] = (await functions.list()).physical;
  await functions.set(2, card!.address);
  const { address } = await functions.assign('vf:nvme', 'web');
  const { virtual } = (await functions.list()).physical[0]!;
  const group = virtual.find((each) => each.address === address)!.iommuGroup!;
  const end = async () => {
    await functions.removed('web');
    await functions.set(0, card!.address);
    await functions.end();
  };
  return { functions, given: { address, group }, end };
}

async function nested(host: EmulatedHost): Promise<void> {
  const { given, end } = await leased(host);
  await timed('a kernel of its own drives it', () => nestedKernel(host, given, DRIVES, DEADLINE_MS));
  await end();
}

async function plugged(host: EmulatedHost): Promise<void> {
  const { functions, given, end } = await leased(host);
  await timed('a kernel that runs gets it, drives it and lets go of it', () =>
    pluggedKernel(host, given, DRIVES, DEADLINE_MS),
  );
  await functions.release(given.address);
  assert.equal((await functions.assign(given.address, 'other')).generation, 2);
  const said = await host.run('pk-vfio-nvme', String(given.group), given.address);
  assert.match(said, /^found cc=0 .*\nidentify controller=/);
  await functions.removed('other');
  await end();
}

async function emulates(device: string): Promise<boolean> {
  const qemu = await findQemu();
  const { stdout } = await run([qemu.path, '-machine', 'q35', '-device', 'help'], { env: qemu.env });
  return stdout.includes(`name "${device}"`);
}

/** Settings of virtual functions by the product, on a real driver (igb) and the `ip` of this machine. */
async function networkCard(host: EmulatedHost): Promise<void> {
  const ip: RunIp = async (...args) => hostProgram(host, 'ip', ...args);
  const functions = functionsOn(host.sysfs, {}, { ip });
  const card = (await functions.list()).physical.find((each) => each.driver === 'igb');
  assert.ok(card, 'igb drives its card');
  const { sysfs } = host;
  await timed('enable 2', () => functions.set(2, card.address));
  const [name] = await sysfs.list(`bus/pci/devices/${card.address}/net`);
  const shown = async () => JSON.parse(await ip('-j', 'link', 'show', 'dev', name!))[0].vfinfo_list[1];
  const second = (await functions.list()).physical.find(({ address }) => address === card.address)!.virtual[1]!.address;
  const before = await shown();
  const isAsBefore = async () => assert.deepEqual(await shown(), before);
  const settings = 'mac=52:54:00:00:00:01,vlan=100,qos=3,spoof-check=off,trust=on';
  // igb bounds the rate of a card whose link is up alone: what was set before the refusal is taken back.
  await assert.rejects(functions.assign(`${second},${settings},max-rate=100`, 'web'), /Invalid argument/);
  await isAsBefore();
  await functions.assign(`${second}=nic0,${settings}`, 'web');
  const { address, vlan_list: vlans, spoofchk, trust } = await shown();
  assert.deepEqual([address, vlans, spoofchk, trust], ['52:54:00:00:00:01', [{ vlan: 100, qos: 3 }], false, true]);
  await functions.release(second);
  await isAsBefore();
  await functions.set(0, card.address);
  await functions.end();
}
