/** What QEMU is: the best where KVM really works, and else for what User Mode Linux cannot do. */
import type { DriverTraits } from '../traits.ts';

const NO_KVM = 'KVM does not work here';

export const QEMU: DriverTraits = {
  name: 'qemu',
  title: 'QEMU',
  imageKinds: ['x86_64'],
  defaultImage: 'debian:amd64',
  usesHostMemory: true,
  ownersNeedFuse: false,
  signs: [
    // Watchdog and panic device: where the image has their drivers (pvpanic_mmio, i6300esb).
    ...(['silence', 'starved', 'line', 'watchdog'] as const),
    ...(['out-of-memory', 'soft-lockup', 'rcu-stall', 'hung-task', 'kernel-bug'] as const),
    ...(['panic', 'dumping', 'died', 'not-ready', 'unproven'] as const),
  ],
  instead: 'uml',
  auto: {
    bestRank: 3,
    rank: ({ accelerator }) => (accelerator === 'kvm' ? 3 : 1),
    why({ accelerator }, { byImage }, lacks) {
      if (accelerator === 'kvm') return 'QEMU, because KVM works here';
      const why = byImage ? ['the image needs a virtual machine'] : lacks;
      return `QEMU with emulation, because ${[...why, NO_KVM].join(' and ')}`;
    },
    lack: () => NO_KVM,
  },
};
