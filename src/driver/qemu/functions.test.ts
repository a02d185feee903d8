import { expect, it } from 'vitest';
import { jailArgv } from '../jail/jail.ts';
import { functionParts } from './functions.ts';

const range = { kind: 'range', start: 0x7100_0000, count: 65_536 } as const;

it('a kernel without functions sees none, and may lock no more memory', async () => {
  expect(await functionParts({ identity: range }, 2 ** 28)).toEqual({ binds: [] });
});

it('kernels whose ids are not theirs alone are given none', async () => {
  const devices = [{ address: '0000:3b:00.2', group: 7, name: null }];
  await expect(functionParts({ devices, identity: { kind: 'single' } }, 2 ** 28)).rejects.toMatchObject({
    code: 'unsupported',
  });
});

it('a jail shows the doors of its groups and the parts of /sys of its functions, and may lock its memory', async () => {
  const devices = [
    { address: '0000:3b:00.2', group: 7, name: null },
    { address: '0000:3b:00.3', group: 7, name: 'b' },
  ];
  const owners: unknown[] = [];
  const { binds, lockedBytes } = await functionParts({ devices, identity: range }, 2 ** 28, async (path, uid, gid) => {
    owners.push([path, uid, gid]);
  });
  expect(owners).toEqual([['/dev/vfio/7', range.start, range.start]]);
  expect(lockedBytes).toBe(2 ** 28 + 2 ** 26);
  const argv = jailArgv({
    ...{ identity: range, bwrap: '/usr/bin/bwrap', pkCell: '/pk-cell', pkJail: '/pk-jail', filter: 'qemu' },
    ...{
      noRandomize: false,
      hostCpus: undefined,
      memoryNodes: undefined,
      joinFds: [],
      binds,
      lockedBytes: lockedBytes!,
    },
    ...{ root: { kind: 'directory', path: '/srv/root' }, volumes: [], covers: [], memoryFiles: [] },
    ...{ directory: '/run/pk/one', program: ['/usr/bin/qemu'] },
  }).join(' ');
  expect(argv).toContain(`--memlock ${lockedBytes} `);
  expect(argv).toContain('--dev-bind /dev/vfio/vfio /dev/vfio/vfio --dev-bind /dev/vfio/7 /dev/vfio/7 ');
  for (const { address } of devices)
    expect(argv).toContain(`--ro-bind /sys/bus/pci/devices/${address} /vmm/pci/${address} `);
});
