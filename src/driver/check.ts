/**
 * The limits of drivers, in the words of those who asked: when an instance is created, and again before its kernel is
 * started, as image and machine may be others by then. What one driver alone cannot do, it refuses by itself. Pure.
 */
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { LaunchSpec } from './driver.ts';
import type { Capabilities, DriverTraits, RootKind } from './traits.ts';

export interface Limited {
  traits: DriverTraits;
  capabilities: Capabilities;
}

/** Throws `invalid` for more CPUs than the driver gives one kernel. */
export function checkCpus(cpus: number, { traits, capabilities: { maxCpus } }: Limited): void {
  if (cpus <= maxCpus) return;
  const { name, instead } = traits;
  const isOne = maxCpus === 1 && instead !== null;
  throw new PolykernelError(
    'invalid',
    `cpus is ${cpus}; the most the ${name} driver gives one kernel here is ${maxCpus}`,
    {
      field: 'cpus',
      value: cpus,
      hint: isOne ? `Use --driver ${instead} for more CPUs, or --cpus 1.` : `Use --cpus ${maxCpus} or less.`,
    },
  );
}

/** Throws `invalid` for too little or too much memory. `hostBytes`: what the machine has. */
export function checkMemory(bytes: number, { traits, capabilities }: Limited, hostBytes: number): void {
  const { minMemoryBytes, maxMemoryBytes } = capabilities;
  const most = traits.usesHostMemory ? Math.min(maxMemoryBytes, hostBytes) : maxMemoryBytes;
  if (bytes >= minMemoryBytes && bytes <= most) return;
  const limit =
    bytes < minMemoryBytes
      ? `the least the ${traits.name} driver can boot with is ${formatBytes(minMemoryBytes)}`
      : hostBytes < maxMemoryBytes
        ? `this machine has ${formatBytes(hostBytes)}`
        : `the most the ${traits.name} driver can give is ${formatBytes(most)}`;
  throw new PolykernelError('invalid', `memory is ${formatBytes(bytes)}; ${limit}`, {
    field: 'memoryBytes',
    value: bytes,
    hint: `Choose a size from ${formatBytes(minMemoryBytes)} to ${formatBytes(most)}.`,
  });
}

/** Throws `unsupported` for huge pages where the driver has none. `bytes`: of one; null = ordinary pages. */
export function checkHugePages(bytes: number | null, { traits: { name, instead }, capabilities }: Limited): void {
  if (bytes === null || capabilities.hugePages) return;
  throw new PolykernelError('unsupported', `the ${name} driver cannot use huge pages`, {
    field: 'partition.memory.hugePages',
    hint: `Leave hugePages out${instead === null ? '' : `, or use --driver ${instead}`}.`,
  });
}

/** Throws `unsupported` for a part of shared CPUs where the driver's kernels have whole ones alone. */
export function checkShare(isShare: boolean, { traits: { name, instead }, capabilities: { shares } }: Limited): void {
  if (!isShare || shares) return;
  throw new PolykernelError(
    'unsupported',
    `a kernel of the ${name} driver has CPUs of its own, and not a share of some`,
    {
      field: 'partition.cpus',
      hint: `Ask for dedicated CPUs (--cpus 4-7)${instead === null ? '' : `, or use --driver ${instead}`}.`,
    },
  );
}

/** Throws `unsupported` for PCI functions where the driver gives none. */
export function checkDevices(
  count: number,
  { traits: { name, title, instead }, capabilities }: Limited,
  field = 'devices',
): void {
  if (count === 0 || capabilities.devices !== 'none') return;
  throw new PolykernelError(
    'unsupported',
    `the ${name} driver cannot give PCI functions to a kernel: ${title} has no PCI bus`,
    {
      field,
      hint: `Leave the devices out${instead === null ? '' : `, or use --driver ${instead}`}.`,
    },
  );
}

/** Throws `unsupported` for a network the driver cannot join. */
export function checkNetworkKind(network: Capabilities['networks'][number], { traits, capabilities }: Limited): void {
  if (capabilities.networks.includes(network)) return;
  throw new PolykernelError('unsupported', `the driver ${traits.name} has no ${network} network`, {
    field: 'network',
    value: network,
    hint: `Give it one of these: ${capabilities.networks.join(', ')}${traits.instead === null ? '' : `, or use --driver ${traits.instead}`}.`,
  });
}

/** Throws `invalid` for an image of a kind that the driver cannot boot. `all`: those that may be named instead. */
export function checkImageKind(kind: string, traits: DriverTraits, all: readonly DriverTraits[] = []): void {
  if (traits.imageKinds.includes(kind)) return;
  const other = all.find(({ imageKinds }) => imageKinds.includes(kind))?.name;
  const of = other === undefined ? `of kind ${kind}` : `a kernel for the ${other} driver`;
  throw new PolykernelError('invalid', `the image is ${of}, which ${traits.name} cannot boot`, {
    field: 'image',
    hint: `Use ${other === undefined ? `an image such as ${traits.defaultImage}` : `--driver ${other}`}, or leave --image out.`,
  });
}

/** Throws `unsupported` for a root file system of a kind that the driver's kernels cannot have. */
export function checkRootKind(kind: RootKind, { traits: { name, instead }, capabilities: { roots } }: Limited): void {
  if (roots.includes(kind)) return;
  const other = instead === null ? '' : `, or use --driver ${instead}`;
  throw new PolykernelError('unsupported', `${ROOTS[kind]} cannot be the root of a kernel of the ${name} driver`, {
    field: 'root',
    value: kind,
    hint: `Give it one of these: ${roots.map((root) => ROOTS[root]).join(', ')}${other}.`,
  });
}

const ROOTS: Readonly<Record<RootKind, string>> = {
  host: "the machine's own files",
  directory: 'a directory (--rootfs DIRECTORY)',
  squashfs: 'an archive or a squashfs image',
  ext4: 'an ext4 image',
};

/** Throws `unsupported` for volumes where the driver has none. */
export function checkVolumes(count: number, { traits: { name, instead }, capabilities }: Limited): void {
  if (capabilities.volumes || count === 0) return;
  throw new PolykernelError('unsupported', `kernels of the ${name} driver see no files of the host`, {
    field: 'volumes',
    hint: `Put what they need into the root${instead === null ? '' : `, or use --driver ${instead}`}.`,
  });
}

/** Throws `unsupported` for shared memory where the driver has none. */
export function checkRegions(count: number, { traits: { name, instead }, capabilities }: Limited): void {
  if (capabilities.sharedMemory !== 'none' || count === 0) return;
  throw new PolykernelError('unsupported', `kernels of the ${name} driver share no memory with others`, {
    field: 'channels',
    hint: `Leave channels out${instead === null ? '' : `, or use --driver ${instead}`}.`,
  });
}

/** All of them for what is about to be started. Throws as they do. */
export function checkLaunch(
  spec: Pick<LaunchSpec, 'image' | 'cpus' | 'memoryBytes'> &
    Partial<Pick<LaunchSpec, 'placement' | 'devices' | 'root' | 'volumes' | 'regions' | 'network'>>,
  driver: Limited,
  hostBytes: number,
): void {
  checkImageKind(spec.image.kind, driver.traits);
  checkCpus(spec.cpus, driver);
  checkMemory(spec.memoryBytes, driver, hostBytes);
  checkHugePages(spec.placement?.hugePageBytes ?? null, driver);
  checkShare((spec.placement?.weight ?? null) !== null, driver);
  if (spec.root !== undefined) checkRootKind(spec.root.kind, driver);
  checkVolumes(spec.volumes?.length ?? 0, driver);
  checkRegions(spec.regions?.length ?? 0, driver);
  if (spec.network) checkNetworkKind(spec.network.wayOut === null ? 'private' : 'egress', driver);
  checkDevices(spec.devices?.length ?? 0, driver);
}
