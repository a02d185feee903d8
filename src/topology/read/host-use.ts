/**
 * What the host itself needs PCI functions for: the disks that are mounted or swapped to, the interfaces of its default
 * routes, the console's display. Devices on top of others (LVM, dm, md, bridge, bond, VLAN) are followed down.
 */
import { isPciAddress } from '../pci-address.ts';
import type { MachineFiles } from './files.ts';
import { readMounts } from './mounts.ts';

/** dm on md on dm is three; a loop of links must end. */
const MAX_LAYERS = 16;

/** What each used function is used for, as `root disk /dev/nvme0n1p2`; several uses are joined by `; `. */
export function readHostUse(files: MachineFiles, functions: ReadonlySet<string>): Map<string, string> {
  const uses = new Map<string, Set<string>>();
  const note = (device: string | undefined, lower: RegExp, what: (name: string) => string) => {
    for (const bottom of device === undefined ? [] : physicalDevices(files, device, lower)) {
      const onPath = bottom.split('/').filter((part) => functions.has(part));
      for (const address of onPath) {
        // A bridge, or a controller that other functions are behind, cannot be given away from above them.
        const text = address === onPath.at(-1) ? what(bottom.split('/').at(-1)!) : `leads to ${onPath.at(-1)}`;
        uses.set(address, (uses.get(address) ?? new Set()).add(text));
      }
    }
  };
  for (const { device, words } of disksInUse(files)) note(device, SLAVES, () => words);
  for (const name of defaultRouteInterfaces(files)) {
    const words = (lower: string) => `default route ${name}${lower === name ? '' : ` over ${lower}`}`;
    note(files.real(`sys/class/net/${name}`), LOWER, words);
  }
  for (const address of functions) {
    const path = `sys/bus/pci/devices/${address}`;
    if (files.integer(`${path}/boot_vga`) !== 1) continue;
    uses.set(address, (uses.get(address) ?? new Set()).add('console display'));
  }
  return new Map([...uses].map(([address, texts]) => [address, [...texts].join('; ')]));
}

const SLAVES = /^slaves$/;
const LOWER = /^(lower_.+|brif)$/;

/** Real paths of the devices at the bottom, which hang below a PCI function if they are on that bus at all. */
function physicalDevices(files: MachineFiles, device: string, lower: RegExp, layers = 0): string[] {
  if (layers > MAX_LAYERS) return [];
  if (device.split('/').some(isPciAddress)) return [device];
  // NVMe with native multipath: the disk belongs to a subsystem; the controllers beside it lead to the hardware.
  const subsystem = /^(.*\/nvme-subsystem\/[^/]+)\//.exec(device)?.[1];
  const below = subsystem
    ? files
        .names(subsystem)
        .filter((name) => /^nvme\d+$/.test(name))
        .map((name) => `${subsystem}/${name}`)
    : // A partition of a device without hardware (md0p1) has its parent's parts.
      [device, device.slice(0, device.lastIndexOf('/'))].flatMap((at) => lowerDevices(files, at, lower));
  return below.flatMap((link) => {
    const real = files.real(link);
    return real === undefined || real === device ? [] : physicalDevices(files, real, lower, layers + 1);
  });
}

/** `slaves/sda1`, `brif/eth0` are directories of links; `lower_eth0` is a link itself. */
function lowerDevices(files: MachineFiles, device: string, lower: RegExp): string[] {
  return files.names(device).flatMap((name) => {
    if (!lower.test(name)) return [];
    const path = `${device}/${name}`;
    if (name === 'slaves') return files.names(path).map((part) => `${path}/${part}`);
    // The link brif/eth0 leads to eth0/brport, not to eth0.
    if (name === 'brif') return files.names(path).map((port) => `sys/class/net/${port}`);
    return [path];
  });
}

interface UsedDisk {
  device: string | undefined;
  words: string;
}

function disksInUse(files: MachineFiles): UsedDisk[] {
  const mounted = readMounts(files).flatMap(({ device, point, source }): UsedDisk[] => {
    // Major 0 is no block device, but btrfs names one as its source.
    const real =
      device !== null && !device.startsWith('0:') ? files.real(`sys/dev/block/${device}`) : blockDevice(files, source);
    if (real === undefined) return [];
    const name = source.startsWith('/dev/') ? source : `/dev/${real.split('/').at(-1)}`;
    return [{ device: real, words: point === '/' ? `root disk ${name}` : `mounted disk ${name}` }];
  });
  const swaps = (files.text('proc/swaps') ?? '').split('\n').flatMap((line): UsedDisk[] => {
    const name = line.split(/\s/)[0]!;
    return [{ device: blockDevice(files, name), words: `swap ${name}` }];
  });
  return [...mounted, ...swaps];
}

/** From `/dev/sda1` or `/dev/mapper/NAME`, which the kernel knows as dm-N. */
function blockDevice(files: MachineFiles, path: string): string | undefined {
  const name = /^\/dev\/(?:mapper\/)?([^/]+)$/.exec(path)?.[1];
  if (name === undefined) return undefined;
  const direct = files.real(`sys/class/block/${name}`);
  if (direct !== undefined || !path.startsWith('/dev/mapper/')) return direct;
  const dm = files
    .names('sys/class/block')
    .find((entry) => files.text(`sys/class/block/${entry}/dm/name`, 256) === name);
  return dm === undefined ? undefined : files.real(`sys/class/block/${dm}`);
}

/** RTF_UP and not RTF_REJECT (linux/route.h). */
const isUsable = (flags: string): boolean => (Number.parseInt(flags, 16) & 0x201) === 0x001;

function defaultRouteInterfaces(files: MachineFiles): Set<string> {
  const names = new Set<string>();
  for (const line of (files.text('proc/net/route') ?? '').split('\n')) {
    const [name, destination, , flags, , , , mask] = line.split(/\s+/);
    if (destination === '00000000' && mask === '00000000' && isUsable(flags!)) names.add(name!);
  }
  for (const line of (files.text('proc/net/ipv6_route') ?? '').split('\n')) {
    const fields = line.split(/\s+/);
    if (fields[0] === '0'.repeat(32) && fields[1] === '00' && isUsable(fields[8]!)) names.add(fields[9]!);
  }
  names.delete('lo');
  // A name is one path component (dev_valid_name in net/core/dev.c).
  return new Set([...names].filter((name) => name !== '' && !name.includes('/') && name !== '..'));
}
