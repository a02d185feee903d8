/** What other programs import, and what people type. */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openConfigSpace } from 'polykernel/pci';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AT, physicalImage, virtualImage } from '../support/pci-bus.ts';
import { dumpOf, expressBody, image } from '../support/pci-images.ts';
import { Sandbox } from '../support/pk.ts';

let directory: string;
let sandbox: Sandbox;
/** A snapshot of a bridge, and below it a physical function with a virtual one. */
let root: string;
let dump: string;

beforeAll(async () => {
  sandbox = await Sandbox.create();
  directory = mkdtempSync(join(tmpdir(), 'pk-pci-'));
  root = join(directory, 'snapshot');
  const bridge = image({
    type: 1,
    standard: [{ id: 0x10, body: expressBody(4) }],
    bytes: [
      [0x19, 1],
      [0x1a, 1],
    ],
  });
  const devices = join(root, 'sys/bus/pci/devices');
  mkdirSync(devices, { recursive: true });
  const add = (path: string, bytes: Uint8Array, files: Record<string, string>) => {
    const at = join(root, 'sys/devices/pci0000:00', path);
    mkdirSync(at, { recursive: true });
    for (const [name, content] of Object.entries({ vendor: '0x8086', device: '0x1521', class: '0x020000', ...files }))
      writeFileSync(join(at, name), `${content}\n`);
    writeFileSync(join(at, 'config'), bytes);
    symlinkSync(join('../../../devices/pci0000:00', path), join(devices, path.split('/').at(-1)!));
    return at;
  };
  add('0000:00:01.0', bridge, { class: '0x060400' });
  add('0000:00:01.0/0000:01:00.0', physicalImage(), { sriov_totalvfs: '64', sriov_numvfs: '1' });
  const virtual = add('0000:00:01.0/0000:01:00.1', virtualImage(), { device: '0x1520' });
  symlinkSync('../0000:01:00.0', join(virtual, 'physfn'));
  dump = join(directory, 'dump');
  writeFileSync(dump, dumpOf([bridge, physicalImage()]));
});
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

it('`polykernel/pci` decodes a function and reads it through the cache, as docs/pci.md shows', () => {
  using space = openConfigSpace({ root });
  const nic = space.function('0000:01:00.0');
  const decoded = nic.decode({ registers: true })!;
  expect(decoded.capabilities.find(({ name }) => name === 'MSI-X')!.registers[0]!.fields).toMatchObject({ Count: '8' });
  nic.read(0, 4);
  const { hardwareReads } = space.statistics();
  expect(nic.read(0, 4)).toBe(0x15218086);
  expect(space.statistics().hardwareReads).toBe(hardwareReads);
  expect(() => nic.read(2, 4)).toThrow('offset: 2 is no place for 4 bytes');
  expect(nic.read(4096, 1)).toBeUndefined();
  // A snapshot is a picture.
  expect(() => nic.write(4, 2, 0)).toThrow('it can only be read');
});

describe('pk pci', () => {
  it('lists functions of a snapshot and of a dump, as a tree too', async () => {
    const rows = await sandbox.json<{ address: string; parent: string | null }[]>('pci', 'ls', '--root', root);
    expect(rows.map(({ address, parent }) => [address, parent])).toEqual([
      ['0000:00:01.0', null],
      ['0000:01:00.0', '0000:00:01.0'],
      ['0000:01:00.1', '0000:00:01.0'],
    ]);
    const list = await sandbox.ok('pci', 'ls', '--root', root);
    expect(list).toMatch(/0000:01:00.0 .* 1 of 64\n/);
    expect(list).toMatch(/0000:01:00.1 .* of 0000:01:00.0\n/);
    expect(await sandbox.ok('pci', 'ls', '--tree', '--root', root)).toMatch(/^0000:00:01.0 .*\n {2}0000:01:00.0 /);
    expect(await sandbox.ok('pci', 'ls', '--from', dump)).toContain('8086:1521');
  });

  it('shows a function in words, with its registers when asked', async () => {
    const text = await sandbox.ok('pci', 'show', '01:00.0', '--root', root, '--decode');
    expect(text).toContain('\tControl: I/O- Mem+ BusMaster+');
    expect(text).toContain('\tCapabilities: [150 v1] Single Root I/O Virtualization (SR-IOV)\n\t\tIOVCap:');
    expect(text).toContain('\t\tTotal VFs: 0040\n');
    const short = await sandbox.ok('pci', 'show', '00:00.1', '--from', dump);
    expect(short).toContain('[150 v1] Single Root');
    expect(short).not.toContain('Total VFs');
  });

  it('reads a register, and says why it is remembered or not', async () => {
    expect(await sandbox.ok('pci', 'read', '01:00.0', '0', '--root', root)).toBe('15218086\n');
    expect(await sandbox.ok('pci', 'read', '01:00.1', '0x2.w', '--root', root, '--fresh')).toBe('ffff\n');
    const why = (at: number) => sandbox.ok('pci', 'cache', 'explain', '01:00.0', at.toString(16), '--root', root);
    expect(await why(AT.msix + 4)).toContain('class S: constant');
    expect(await why(AT.vendor + 4)).toContain('only the vendor knows');
    expect(await why(0x1f8)).toContain('no capability is known to reach there');
  });

  it('has figures in the words of PCSC, those of the kernel beside them, and proves what it remembers', async () => {
    mkdirSync(join(root, 'sys/bus/pci/pcsc'), { recursive: true });
    writeFileSync(join(root, 'sys/bus/pci/pcsc/enabled'), '1\n');
    writeFileSync(join(root, 'sys/bus/pci/pcsc/stats'), 'Cache Hits: 21063\nHit Rate: 83%\n');
    const text = await sandbox.ok('pci', 'cache', 'stats', '--root', root);
    expect(text).toMatch(/^Cache Hits: +0$/m);
    expect(text).toMatch(/^Kernel cache \(PCSC\): +on\nCache Hits: +21063\nHit Rate: +83%$/m);
    expect(await sandbox.ok('pci', 'cache', 'verify', '--sample', '5%', '--root', root)).toContain('0 wrong');
    expect(await sandbox.ok('pci', 'cache', 'flush', '01:00.0')).toContain('forgot 0 functions');
  });

  it.each([
    [['pci', 'show', '01:00.7', '--root', '/nowhere'], 125, 'there is no PCI function 0000:01:00.7'],
    [['pci', 'ls', '--root', '/nowhere'], 125, 'there is no PCI bus'],
    [['pci', 'show', 'eth0'], 2, 'is not a PCI address'],
    [['pci', 'read', '01:00.0', '3.l'], 2, 'offset: "3.l" is not a place'],
    [['pci', 'read', '01:00.0', 'xyz'], 2, 'offset: "xyz" is not a place'],
    [['pci', 'ls', '--from', '/dev/null'], 2, 'no configuration space in the dump'],
    [['pci', 'ls', '--from', '/dev/null', '--root', '/'], 2, 'give one of them'],
    [['pci', 'cache', 'explain', '01:00.0'], 2, 'usage is stats | flush'],
    [['pci', 'cache', 'constructor'], 2, 'usage is stats | flush'],
    [['pci', 'cache', 'verify', '--sample', '500%'], 2, '--sample: "500%" is not a share'],
  ] as const)('%s is refused in words', async (args, code, words) => {
    const ran = await sandbox.pk(args);
    expect(ran.stderr).toContain(words);
    expect(ran.code).toBe(code);
    expect(ran.stderr).not.toContain('    at ');
  });

  it('says that a function is silent, and that a byte is not to be read', async () => {
    const silent = join(directory, 'silent');
    writeFileSync(silent, `${dumpOf([new Uint8Array(64).fill(0xff), image({ size: 64 })])}`);
    expect((await sandbox.pk(['pci', 'show', '00:00.0', '--from', silent])).stderr).toContain(
      'does not answer (all ones)',
    );
    expect((await sandbox.pk(['pci', 'read', '00:00.1', '40', '--from', silent])).stderr).toContain('cannot be read');
  });
});
