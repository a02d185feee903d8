/**
 * A function that comes to a real QEMU kernel while it runs, and goes: the monitor, the guest's bus and its consent. This machine need have no
 * IOMMU, so a device of QEMU's own stands for one of VFIO's; that itself is in `npm run test:sriov -- plugged`.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Kernel, LaunchSpec } from '../../src/driver/index.ts';
import { QemuDriver } from '../../src/driver/qemu/driver.ts';
import { QemuFunctions } from '../../src/driver/qemu/plug-functions.ts';
import { Qmp } from '../../src/driver/qemu/qmp.ts';
import { connectShim } from '../../src/driver/shim/shim.ts';
import { ImageStore } from '../../src/image/contract.ts';
import { collect } from '../support/collect.ts';
import { launchSpec } from '../support/launch-spec.ts';
import { nativeProgram } from '../support/native.ts';

const FUNCTION = { address: '0000:3b:00.2', group: 7, name: 'nic0' };
let home = '';
let kernel: Kernel;
let spec: LaunchSpec;

beforeAll(async () => {
  for (const name of ['pk-init', 'pk-shim', 'pk-jail', 'pk-ram.so'] as const) await nativeProgram(name);
  home = await mkdtemp(join(tmpdir(), 'pk-functions-'));
  const store = new ImageStore();
  if (!(await store.list()).some(({ name }) => name === 'debian:amd64')) await store.pull('debian:amd64');
  const directory = join(home, 'one');
  await mkdir(directory, { mode: 0o700 });
  spec = launchSpec({ directory, image: await store.resolve('debian:amd64') });
  kernel = await new QemuDriver().start(spec, new AbortController().signal);
});
afterAll(async () => {
  await kernel?.kill();
  await rm(home, { recursive: true });
});

/** QEMU is given a device of its own in the place of the function. */
async function withMonitor<T>(use: (monitor: Qmp) => Promise<T>): Promise<T> {
  const monitor = await Qmp.open(await connectShim(spec.directory, 'monitor'), randomBytes(4).toString('hex'));
  const execute = monitor.execute.bind(monitor);
  monitor.execute = (command, { sysfsdev, ...given } = {}, deadlineMs) =>
    execute(command, sysfsdev === undefined ? given : { ...given, driver: 'pci-testdev' }, deadlineMs);
  try {
    return await use(monitor);
  } finally {
    monitor.close();
  }
}

it('the guest sees a function at the place that it is told, finds it by its name, and lets go of it', async () => {
  const sh = async (script: string) =>
    (await collect(kernel.guest.exec({ command: ['sh', '-c', script], env: {}, cwd: '/', user: '0' }))).stdout.trim();
  await mkdir(join(spec.directory, 'functions'), { recursive: true });
  const functions = new QemuFunctions({
    ...{ directory: spec.directory, hasBalloon: false, guest: kernel.guest, withMonitor },
    identity: { kind: 'range', start: 0x7100_0000, count: 65_536 },
    vfio: { give: async () => {}, isReady: () => true },
  });
  await functions.attach(FUNCTION);
  const [, place] = /^nic0=(0000:00:\w\w\.0)$/.exec(await sh('cat /run/pk/functions')) ?? [];
  // What pci-testdev is.
  expect(await sh(`cat /sys/bus/pci/devices/${place}/vendor /sys/bus/pci/devices/${place}/device`)).toBe(
    '0x1b36\n0x0005',
  );
  await functions.attach({ ...FUNCTION, address: '0000:3b:00.3', name: null });
  expect(await functions.list()).toEqual([FUNCTION.address, '0000:3b:00.3']);
  await functions.detach(FUNCTION.address);
  expect(await functions.list()).toEqual(['0000:3b:00.3']);
  expect(await sh(`cat /run/pk/functions; ls -d /sys/bus/pci/devices/${place} 2>&1 | grep -c cannot`)).toBe('1');
});

it('a real VFIO device is refused where its jail shows none, and no door stays open', async () => {
  await rm(join(spec.directory, 'functions'), { recursive: true });
  await expect(async () => kernel.functions!.attach(FUNCTION)).rejects.toMatchObject({ code: 'unavailable' });
  expect(await kernel.functions!.list()).toEqual([]);
});
