/** What the fake is: the last choice, and bound by no machine. */
import type { KernelImage } from '../../image/contract.ts';
import type { Capabilities, DriverTraits } from '../traits.ts';

const MIB = 1024 * 1024;

/** What it boots: nothing of it is ever read. */
export const FAKE_IMAGE: KernelImage = {
  name: 'fake',
  digest: 'f'.repeat(64),
  kind: 'fake',
  version: '6.1.0-fake',
  kernel: '/nonexistent',
  initramfs: '/nonexistent',
  modules: {},
};

export const FAKE: DriverTraits = {
  name: 'fake',
  title: 'fake',
  imageKinds: ['fake'],
  defaultImage: FAKE_IMAGE.name,
  ownImages: [FAKE_IMAGE],
  usesHostMemory: false,
  ownersNeedFuse: false,
  instead: null,
  auto: {
    bestRank: 0,
    rank: () => 0,
    why: () => 'fake, because no real driver is usable here',
    lack: () => 'kernels are wanted that run something',
  },
};

export const FAKE_CAPABILITIES: Capabilities = {
  maxCpus: 64,
  minMemoryBytes: 1 * MIB,
  maxMemoryBytes: 1024 * 1024 * MIB,
  pause: true,
  templateClone: false,
  shares: true,
  cpuResize: 'online',
  cpuMoves: 'all',
  memoryResize: 'balloon',
  memoryStepBytes: 2 ** 20,
  hugePages: true,
  devices: 'hotplug',
  sharedMemory: 'hotplug',
  networks: ['none', 'private', 'egress'],
  roots: ['host', 'directory', 'squashfs', 'ext4'],
  volumes: true,
  networkPort: 'none',
  confinement: [],
  isolation: 'none: nothing runs',
};
