import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MonitorModel } from '../../../test/support/qemu-monitor.ts';
import type { GuestLink } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { Qmp } from './qmp.ts';
import { dropUnused, plugRegion, unplugRegion } from './regions.ts';

let directory = '';
let shim: Server;
let model: MonitorModel;
let monitor: Qmp;
/** What the guest says to what it is told. */
let refusal: PolykernelError | undefined;
const guest = {
  configure: async () => {
    if (refusal !== undefined) throw refusal;
  },
} as unknown as GuestLink;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pk-regions-'));
  // Passes what it is asked to.
  shim = createServer((socket) => socket.once('data', () => socket.end('ok\n'))).listen(join(directory, 'shim.sock'));
  model = new MonitorModel();
  monitor = await Qmp.open(model.connect(), 'x');
  refusal = undefined;
});
afterEach(() => {
  monitor.close();
  shim.close();
  rmSync(directory, { recursive: true });
});

const region = (letter: string) => {
  const id = letter.repeat(32);
  return { id, name: letter, slot: 0, path: '/proc/1/fd/3', bytes: 2 ** 20, side: 'send' } as const;
};

it('memory of a channel whose place a guest does not let go of stays with nobody', async () => {
  await plugRegion(monitor, directory, guest, region('a'));
  model.letsGo = false;
  const given = AbortSignal.timeout(1);
  await expect(unplugRegion(monitor, guest, region('a'), given)).rejects.toThrow(/does not let go/);
  for (const letter of ['b', 'c']) {
    await expect(plugRegion(monitor, directory, guest, region(letter))).rejects.toThrow(/not available/);
    expect([...model.objects]).toEqual([`memory-${'a'.repeat(16)}`]);
  }
});

it('memory of a channel that a guest lets go of too late is gone with the next look', async () => {
  await plugRegion(monitor, directory, guest, region('a'));
  model.letsGo = false;
  await expect(unplugRegion(monitor, guest, region('a'), AbortSignal.timeout(1))).rejects.toThrow(/does not let go/);
  expect((await dropUnused(monitor))('a'.repeat(32))).toBe(true);
  model.let();
  expect((await dropUnused(monitor))('a'.repeat(32))).toBe(false);
  expect(model.objects.size).toBe(0);
});

it('a guest that does not forget a channel has it taken all the same', async () => {
  await plugRegion(monitor, directory, guest, region('a'));
  refusal = new PolykernelError('internal', 'the guest refuses');
  await expect(unplugRegion(monitor, guest, region('a'))).rejects.toThrow('the guest refuses');
  expect([model.plugged.size, model.objects.size]).toEqual([0, 0]);
});
