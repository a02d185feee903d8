/** What kernels on QEMU can do, with KVM and without. */
import { totalmem } from 'node:os';
import { allowedCpus } from '../../sys/process.ts';
import type { Capabilities } from '../traits.ts';
import type { Accelerator } from './command.ts';

const MIB = 2 ** 20;
/** An emulated kernel may have more CPUs than the host; beyond this they only wait for each other. */
const TCG_MAX_CPUS = 64;
/** The uncompressed kernel and its tables take 70 MiB. */
const MIN_MEMORY_BYTES = 128 * MIB;

export function qemuCapabilities(accelerator: Accelerator): Capabilities {
  const kvm = accelerator === 'kvm';
  return {
    maxCpus: kvm ? allowedCpus().length : TCG_MAX_CPUS,
    minMemoryBytes: MIN_MEMORY_BYTES,
    maxMemoryBytes: totalmem(),
    sharedMemory: 'hotplug',
    pause: true,
    templateClone: true,
    shares: true,
    cpuResize: 'online',
    cpuMoves: 'all',
    memoryResize: 'balloon',
    memoryStepBytes: 2 ** 20,
    hugePages: true,
    devices: 'hotplug',
    networks: ['none', 'private', 'egress'],
    roots: ['host', 'directory', 'squashfs', 'ext4'],
    volumes: true,
    networkPort: 'tap',
    confinement: [
      kvm ? 'virtual machine (KVM)' : 'emulated processor (TCG)',
      'QEMU sandbox',
      'seccomp',
      'no capabilities over anything of the host',
      'own namespaces, private root',
      'ids of its own',
    ],
    isolation: kvm ? 'processor virtualisation (KVM)' : 'QEMU emulation, process boundary of the host kernel',
  };
}
