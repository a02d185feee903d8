/**
 * The limits of drivers, in the words of those who asked: when an instance is created, and again before its kernel is
 * started, as image and machine may be others by then. What one driver alone cannot do, it refuses by itself. Pure.
 */
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { LaunchSpec } from './driver.ts';
import type { Capabilities, DriverTraits } from './traits.ts';

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

/** Throws `unsupported` for PCI functions where the driver gives none. */
export function checkDevices(count: number, { traits: { name, title, instead }, capabilities }: Limited): void {
  if (count === 0 || capabilities.devices !== 'none') return;
  throw new PolykernelError(
    'unsupported',
    `the ${name} driver cannot give PCI functions to a kernel: ${title} has no PCI bus`,
    {
      field: 'devices',
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

/** All of them for what is about to be started. Throws as they do. */
export function checkLaunch(
  spec: Pick<LaunchSpec, 'image' | 'cpus' | 'memoryBytes'> & Partial<Pick<LaunchSpec, 'placement' | 'devices'>>,
  driver: Limited,
  hostBytes: number,
): void {
  checkImageKind(spec.image.kind, driver.traits);
  checkCpus(spec.cpus, driver);
  checkMemory(spec.memoryBytes, driver, hostBytes);
  checkHugePages(spec.placement?.hugePageBytes ?? null, driver);
  checkDevices(spec.devices?.length ?? 0, driver);
}
