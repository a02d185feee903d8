import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { jailArgv } from '../jail/jail.ts';
import { closeDoor, functionParts, functionsOf, hasDoors, openDoor } from './functions.ts';

const identity = { kind: 'range', start: 0x7100_0000, count: 65_536 } as const;
const owners: unknown[] = [];
const vfio = (isReady: boolean) => ({
  isReady: () => isReady,
  give: async (path: string, uid: number, gid: number) => void owners.push([path, uid, gid]),
});
const devices = [
  { address: '0000:3b:00.2', group: 7, name: null },
  { address: '0000:3b:00.3', group: 7, name: 'b' },
];

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-functions-'));
  owners.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true }));

it('where none can be given away a kernel sees no door, and may lock no more memory', async () => {
  expect(await functionParts({ identity, directory }, 2 ** 28, vfio(false))).toEqual({ binds: [] });
  expect(await functionParts({ identity: { kind: 'single' }, directory }, 2 ** 28, vfio(true))).toEqual({ binds: [] });
  expect(hasDoors(directory)).toBe(false);
  expect(functionsOf(directory)).toEqual([]);
});

it('kernels whose ids are not theirs alone are given none', async () => {
  await expect(
    functionParts({ devices, identity: { kind: 'single' }, directory }, 2 ** 28, vfio(true)),
  ).rejects.toMatchObject({ code: 'unsupported' });
});

it('a jail shows the doors, of which its own groups’ are its ids’, and what is said of its functions, and may lock its memory', async () => {
  const { binds, lockedBytes } = await functionParts({ devices, identity, directory }, 2 ** 28, vfio(true));
  expect(owners).toEqual(devices.map(() => ['/dev/vfio/7', identity.start, identity.start]));
  expect(lockedBytes).toBe(2 ** 28 + 2 ** 26);
  const argv = jailArgv({
    ...{ identity, bwrap: '/usr/bin/bwrap', pkCell: '/pk-cell', pkJail: '/pk-jail', filter: 'qemu' },
    ...{ noRandomize: false, hostCpus: undefined, memoryNodes: undefined, joinFds: [] },
    ...{ binds, lockedBytes: lockedBytes!, root: { kind: 'directory', path: '/srv/root' }, volumes: [], covers: [] },
    ...{ memoryFiles: [], directory: '/run/pk/one', program: ['/usr/bin/qemu'] },
  }).join(' ');
  expect(argv).toContain(`--memlock ${lockedBytes} `);
  expect(argv).toContain(`--dev-bind /dev/vfio /dev/vfio --ro-bind ${directory}/functions /vmm/pci `);
  expect(functionsOf(directory)).toEqual(devices);
  // All that QEMU asks of it: its group's number.
  expect(readlinkSync(join(directory, 'functions/0000:3b:00.2/iommu_group'))).toMatch(/\/7$/);
});

it('a function that comes later is behind the same doors; its group’s is root’s again with the last that goes', async () => {
  const host = vfio(true);
  await functionParts({ identity, directory }, 2 ** 28, host);
  expect(hasDoors(directory)).toBe(true);
  for (const each of devices) await openDoor({ identity, directory }, each, host);
  await openDoor({ identity, directory }, devices[0]!, host);
  expect(functionsOf(directory)).toEqual(devices);
  owners.length = 0;
  await closeDoor({ directory }, devices[0]!.address, host);
  expect(owners).toEqual([]);
  await closeDoor({ directory }, devices[1]!.address, host);
  await closeDoor({ directory }, devices[1]!.address, host);
  expect(owners).toEqual([['/dev/vfio/7', 0, 0]]);
  expect(functionsOf(directory)).toEqual([]);
});
