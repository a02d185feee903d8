/** What the fake is: the last choice, and bound by no machine. */
import type { KernelImage } from '../../image/contract.ts';
import type { DriverTraits } from '../traits.ts';

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
