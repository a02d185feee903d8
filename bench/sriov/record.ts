/**
 * `node bench/sriov/record.ts`: writes trace.txt, every access to the configuration space of one virtual function over its life, as QEMU's
 * own trace events tell them: pci_cfg_read and pci_cfg_write, and for their width memory_region_ops_* behind each. The function
 * is one of three of an NVMe controller on the emulated host of test/support/sriov-host.ts.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { emulatedHost } from '../../test/support/sriov-host.ts';
import { TRACE } from './trace.ts';

const PF = 'bus/pci/devices/0000:01:00.0';
const VF = '0000:01:00.2';
const OF = `bus/pci/devices/${VF}`;
const EVENTS = ['pci_cfg_read', 'pci_cfg_write', 'memory_region_ops_read', 'memory_region_ops_write'];
/** What a virtual function of this controller has: the header, standard capabilities, and ARI at 0x100. */
const IMAGE_BYTES = 0x110;

const directory = mkdtempSync(join(tmpdir(), 'pk-trace-'));
const log = join(directory, 'log');
const host = await emulatedHost({
  ...{ cards: 1, virtual: 3 },
  more: [...EVENTS.flatMap((event) => ['-trace', event]), '-D', log],
});
const lines: string[] = [];
try {
  const { sysfs } = host;
  await sysfs.write(`${PF}/sriov_drivers_autoprobe`, '0');
  await step('create', () => sysfs.write(`${PF}/sriov_numvfs`, '3'));
  const [image, group] = [await imageOf(), (await sysfs.read(OF, ['iommu_group']))[0]!];
  await sysfs.secondariesOnline('nvme0', 3);
  await step('bind', async () => {
    await sysfs.write(`${OF}/driver_override`, 'vfio-pci');
    await sysfs.write('bus/pci/drivers/vfio-pci/bind', VF);
  });
  await step('reset', () => sysfs.write(`${OF}/reset`, '1'));
  await step('open, use and close', () => host.run('pk-vfio-nvme', group, VF));
  await step('reset after use', () => sysfs.write(`${OF}/reset`, '1'));
  await step('remove', () => sysfs.write(`${PF}/sriov_numvfs`, '0'));
  writeFileSync(TRACE, `${['# Made by bench/sriov/record.ts.', `image ${image}`, ...lines].join('\n')}\n`);
} finally {
  await host.end();
  rmSync(directory, { recursive: true });
}

async function imageOf(): Promise<string> {
  const dwords: string[] = [];
  for (let at = 0; at < IMAGE_BYTES; at += 4)
    dwords.push((await host.sysfs.bytes(`${OF}/config`, at)).toString(16).padStart(8, '0'));
  return dwords.join(' ');
}

async function step(name: string, work: () => Promise<unknown>): Promise<void> {
  const from = statSync(log).size;
  await work();
  lines.push(`step ${name}`, ...accessesIn(readFileSync(log, 'latin1').slice(from)));
}

function accessesIn(text: string): string[] {
  const all = text.split('\n');
  return all.flatMap((line, index) => {
    const found = /^pci_cfg_(read|write) nvme 01:00\.2 @0x([\da-f]+) (?:->|<-) 0x([\da-f]+)$/.exec(line);
    if (found === null) return [];
    // What it is a part of is told of before a write, and after a read.
    const whole = all[found[1] === 'read' ? index + 1 : index - 1] ?? '';
    const width = /^memory_region_ops_(?:read|write) .* size (\d) name '(?:pcie-mmcfg-mmio|pci-conf-data)'$/.exec(
      whole,
    );
    if (width === null) throw new Error(`no width of ${line}: ${whole}`);
    return [`${found[1] === 'read' ? 'r' : 'w'} ${found[2]} ${width[1]} ${found[3]}`];
  });
}
