import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MonitorModel } from '../../../test/support/qemu-monitor.ts';
import type { Pair } from '../../guest/protocol.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { functionsOf } from './functions.ts';
import { QemuFunctions } from './plug-functions.ts';
import { Qmp } from './qmp.ts';

const FUNCTION = { address: '0000:3b:00.2', group: 7, name: 'nic0' };
const OTHER = { address: '0000:3b:00.3', group: 8, name: null };

let directory = '';
let monitor: MonitorModel;
const told: Pair[] = [];
/** Functions on its bus that the guest's kernel does not see. */
let blind = false;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-plug-'));
  mkdirSync(join(directory, 'functions'));
  monitor = new MonitorModel();
  told.length = 0;
  blind = false;
});
afterEach(() => rmSync(directory, { recursive: true }));

const functions = (over = {}) =>
  new QemuFunctions({
    directory,
    hasBalloon: false,
    identity: { kind: 'range', start: 0x7100_0000, count: 65_536 },
    vfio: { give: async () => {}, isReady: () => true, mayLock: () => true },
    patienceMs: 60,
    guest: {
      configure: async (steps) => void told.push(...steps),
      readFile: async (path) => {
        if (blind) throw new PolykernelError('not-found', path);
        return Readable.from([Buffer.from('0x1b36\n')]);
      },
    },
    async withMonitor(use) {
      const open = await Qmp.open(monitor.connect(), 'x');
      try {
        return await use(open);
      } finally {
        open.close();
      }
    },
    ...over,
  });

it('a function is plugged in beside what is there, seen by the guest and named to it, and plugged out again', async () => {
  const plugged = functions();
  await plugged.attach(FUNCTION);
  await plugged.attach(OTHER);
  expect(monitor.said.filter(({ execute }) => execute === 'device_add').map((each) => each.arguments)).toEqual([
    { driver: 'vfio-pci', id: 'pci-0000-3b-00-2', sysfsdev: '/vmm/pci/0000:3b:00.2', addr: '6.0' },
    { driver: 'vfio-pci', id: 'pci-0000-3b-00-3', sysfsdev: '/vmm/pci/0000:3b:00.3', addr: '7.0' },
  ]);
  expect(told.at(-1)).toEqual(['write', '/run/pk/functions\x1fnic0=0000:00:06.0\n']);
  expect(await plugged.list()).toEqual([FUNCTION.address, OTHER.address]);
  // Once more is nothing.
  await plugged.attach(FUNCTION);
  expect(monitor.plugged.size).toBe(2);
  await plugged.detach(FUNCTION.address);
  await plugged.detach(FUNCTION.address);
  expect(await plugged.list()).toEqual([OTHER.address]);
  expect(told.at(-1)).toEqual(['write', '/run/pk/functions\x1f']);
  expect(functionsOf(directory)).toEqual([OTHER]);
});

it('what QEMU refuses leaves no door open', async () => {
  monitor.refuses = 'vfio 0000:3b:00.2: failed to open /dev/vfio/7: Permission denied';
  await expect(functions().attach(FUNCTION)).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining('Permission denied'),
  });
  expect(functionsOf(directory)).toEqual([]);
});

it('a guest that does not see it, or does not let go, is told after the deadline; what it lets go of later is out', async () => {
  const plugged = functions();
  blind = true;
  await expect(plugged.attach(FUNCTION)).rejects.toMatchObject({ code: 'not-ready' });
  blind = false;
  await plugged.attach(FUNCTION);
  monitor.letsGo = false;
  for (let time = 0; time < 2; time++)
    await expect(plugged.detach(FUNCTION.address)).rejects.toMatchObject({
      code: 'not-ready',
      message: `the guest does not let go of ${FUNCTION.address}`,
    });
  expect(await plugged.list()).toEqual([FUNCTION.address]);
  expect(functionsOf(directory)).toEqual([FUNCTION]);
  monitor.let();
  await plugged.detach(FUNCTION.address);
  expect(functionsOf(directory)).toEqual([]);
});

it('refused: a kernel whose memory may change, one that was started without doors, and a bus that is full', async () => {
  await expect(async () => functions({ hasBalloon: true }).attach(FUNCTION)).rejects.toMatchObject({
    code: 'unsupported',
  });
  for (let place = 6; place <= 14; place++) monitor.plugged.set(`other${place}`, place.toString(16));
  await expect(functions().attach(FUNCTION)).rejects.toMatchObject({ message: expect.stringContaining('no place') });
  expect(functionsOf(directory)).toEqual([]);
  rmSync(join(directory, 'functions'), { recursive: true });
  await expect(async () => functions().attach(FUNCTION)).rejects.toMatchObject({ code: 'unavailable' });
});
