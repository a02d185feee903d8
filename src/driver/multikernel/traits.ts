/** What kernels beside the host's are. */
import type { Capabilities, DriverTraits } from '../traits.ts';

const MIB = 2 ** 20;
/** In which memory of a running kernel comes and goes on x86-64, but for machines of more than 64 GiB. */
export const MEMORY_BLOCK_BYTES = 128 * MIB;

export const MULTIKERNEL: DriverTraits = {
  name: 'multikernel',
  title: 'multikernel',
  imageKinds: ['x86_64'],
  defaultImage: 'multikernel',
  usesHostMemory: false,
  ownersNeedFuse: false,
  instead: 'qemu',
  auto: {
    // What it takes of the machine is given by hand: nobody gets it without asking for it.
    bestRank: -1,
    rank: () => -1,
    why: () => 'multikernel, because no other driver is usable here',
    lack: () => 'kernels are wanted beside the machine’s own',
  },
};

export const CAPABILITIES: Capabilities = {
  maxCpus: 1024,
  minMemoryBytes: 128 * MIB,
  maxMemoryBytes: 16 * 1024 * 1024 * MIB,
  // A kernel that has its CPUs for itself is stopped by nothing but a halt.
  pause: false,
  templateClone: false,
  shares: false,
  cpuResize: 'hotplug',
  cpuMoves: 'not-first',
  memoryResize: 'blocks',
  memoryStepBytes: MEMORY_BLOCK_BYTES,
  hugePages: false,
  devices: 'host',
  sharedMemory: 'none',
  networks: ['none'],
  networkPort: 'none',
  roots: ['directory'],
  volumes: false,
  confinement: ['CPUs and memory of its own'],
  isolation: 'none that hardware enforces: a hostile kernel can reach all of the machine',
};
