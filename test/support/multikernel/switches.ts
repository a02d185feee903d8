/** How the model of the kernel behaves where nobody has seen it yet, and what goes wrong in it. */

/** Each is a reading of the sources that was never run; the driver has to do with both. */
export interface Switches {
  /** A write to overlays/new hands over a page, and the rest is refused. Else all arrives. */
  onePage: boolean;
  /** stat(2) says 1 MiB of device_tree and 0 of all others. Else what they hold. */
  statSizes: boolean;
  /** The trees of instances are made anew for each page that is read. */
  pageReads: boolean;
  /** tx_N has a file `reason`. */
  reasonFile: boolean;
  /** A load that fails leaves an image behind: the next says EBUSY until it is unloaded. */
  danglingImage: boolean;
  /** Memory added to an active instance is booked somewhere else. Else it has to be free where it is asked for. */
  bookedElsewhere: boolean;
  /** Memory of instances is taken from the end of a chunk. */
  fillsFromTop: boolean;
  /** Kernels before August 2026 have cells at the root too: nothing tells their trees from later ones. */
  firstHasCells: boolean;
  /** What a halt ends with that nobody hears. */
  haltTimesOutWith: 'ETIMEDOUT' | 'EIO';
  /** How many forced halts it takes until the CPUs park: before that the instance cannot be booted. */
  parksAfter: number;
  /**
   * Whether kernels can connect by vsock. `breaks`: they can, and after 64 KiB the connection ends; `silent`: then nothing comes any more,
   * and nobody is told.
   */
  vsock: 'none' | 'works' | 'breaks' | 'silent';
}

export const AS_READ: Switches = {
  onePage: true,
  statSizes: true,
  pageReads: true,
  reasonFile: false,
  danglingImage: true,
  bookedElsewhere: true,
  fillsFromTop: false,
  firstHasCells: false,
  haltTimesOutWith: 'ETIMEDOUT',
  parksAfter: 2,
  vsock: 'works',
};

/** The other way round, each of them. */
export const OTHERWISE: Switches = {
  onePage: false,
  statSizes: false,
  pageReads: false,
  reasonFile: true,
  danglingImage: false,
  bookedElsewhere: false,
  fillsFromTop: true,
  firstHasCells: true,
  haltTimesOutWith: 'EIO',
  parksAfter: 1,
  vsock: 'none',
};

/** Where something can go wrong by chance. */
export type FaultPoint =
  | 'write'
  | 'item'
  | 'reserve'
  | 'load'
  | 'unload'
  | 'boot'
  | 'halt'
  | 'tear'
  /** Others write at the same time: a transaction of theirs before ours, and one after it. */
  | 'foreign'
  | 'offline'
  | 'elsewhere';

/** One in how many, per point; absent: never. */
export type Faults = Partial<Record<FaultPoint, number>>;

export interface ModelMachine {
  /** In logical order. The first boots the machine. */
  cpus: readonly { apic: number; node: number }[];
  /** What can be had in one piece, per node. */
  memory: readonly { node: number; base: number; bytes: number }[];
  /** Functions that the host kernel could give away, with what they say that they are. */
  functions: readonly { address: string; vendor: number; device: number }[];
  /** In which format its kernel speaks. */
  format: 'first' | 'second';
  /** The lowest id that an instance is given. */
  firstId: number;
}

/** As on the machine of the reference: logical numbers and APIC ids run differently. */
export const MACHINE: ModelMachine = {
  cpus: [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7].map((apic, index) => ({ apic, node: index < 8 ? 0 : 1 })),
  memory: [
    { node: 0, base: 0x1_0000_0000, bytes: 16 * 2 ** 30 },
    { node: 1, base: 0x10_0000_0000, bytes: 16 * 2 ** 30 },
  ],
  functions: [1, 2, 3].map((index) => ({ address: `0000:09:00.${index}`, vendor: 0x8086, device: 0x154c })),
  format: 'second',
  firstId: 1,
};
