/** What User Mode Linux is. */
import type { DriverTraits } from '../traits.ts';

export const UML: DriverTraits = {
  name: 'uml',
  title: 'UML',
  imageKinds: ['uml'],
  defaultImage: 'debian:uml',
  usesHostMemory: true,
  ownersNeedFuse: true,
  // Its kernel has no detectors of lockups, stalls and hung tasks.
  signs: ['silence', 'starved', 'line', 'out-of-memory', 'kernel-bug', 'panic', 'died', 'not-ready', 'unproven'],
  instead: 'qemu',
  auto: {
    bestRank: 2,
    rank: () => 2,
    why: (_, { byImage }, lacks) =>
      `UML, because ${byImage ? 'the image is made for it' : [...lacks, 'one CPU is enough'].join(' and ')}`,
    lack: ({ cpus }) => `UML has one CPU and ${cpus} are wanted`,
  },
};
