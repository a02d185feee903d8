/** A driver as data, by which requests are judged: what it is, whatever the machine, and what it can do on this one. */
import type { Trouble } from '../guest/index.ts';
import type { KernelImage, RootSource } from '../image/contract.ts';

/** What a driver can do, as data. */
export interface Capabilities {
  /** Most CPUs one kernel may have. */
  maxCpus: number;
  /** Least and most memory in bytes one kernel may have. */
  minMemoryBytes: number;
  maxMemoryBytes: number;
  pause: boolean;
  /** Starts from a snapshot of a booted kernel instead of booting. */
  templateClone: boolean;
  /** When shared-memory regions can be attached. */
  sharedMemory: 'none' | 'boot' | 'hotplug';
  /** Its CPUs may be a part of shared ones. */
  shares: boolean;
  /** How the number of CPUs of a running kernel changes: by taking them offline and online within, or out and in. */
  cpuResize: 'none' | 'online' | 'hotplug';
  /** Which of a running kernel's CPUs may be exchanged for others of the host: all, or all but that on which it booted. */
  cpuMoves: 'all' | 'not-first';
  /** How its memory does: a balloon in the guest takes it, it is unplugged, or blocks of it go and come. */
  memoryResize: 'none' | 'balloon' | 'unplug' | 'blocks';
  /** Sizes of it are so many bytes apart, from the least that a kernel may have. */
  memoryStepBytes: number;
  /** The kernel's memory can be made of huge pages of the host. */
  hugePages: boolean;
  /**
   * How PCI functions of the host are given to a kernel: `boot`: to its machine through VFIO before it starts; `hotplug`: while it
   * runs as well; `host`: by the host kernel itself, before it starts.
   */
  devices: 'none' | 'boot' | 'hotplug' | 'host';
  networks: readonly NetworkKind[];
  /** Kinds of root file system that it can have. */
  roots: readonly RootKind[];
  /** Directories and files of the host can be seen in its guests. */
  volumes: boolean;
  /** What of a network a kernel is given: its port is one end of a veth pair, or a tap that comes with the VMM. */
  networkPort: 'none' | 'veth' | 'tap';
  /** The layers that hold a hostile guest, outermost last. */
  confinement: readonly string[];
  /** What enforces isolation between this kernel and the host. */
  isolation: string;
}

export type RootKind = RootSource['kind'];

export type NetworkKind = 'none' | 'private' | 'egress';

/** Whether a driver can be used on this machine, why (not), and how to get it. */
export interface Availability {
  available: boolean;
  reason: string;
  hint?: string;
  /** The accelerator that really works, where the driver uses any. */
  accelerator?: 'kvm' | 'tcg';
}

/** What a driver can do on this machine. */
export interface DriverFacts {
  name: string;
  availability: Availability;
  capabilities: Capabilities;
}

/** See docs/health.md. */
export type KernelSign =
  | ('silence' | 'starved' | 'line' | 'watchdog' | Trouble['kind'])
  | ('panic' | 'dumping' | 'died' | 'not-ready' | 'unproven');

export interface DriverTraits {
  /** The word of `--driver`: lower-case letters and digits. */
  readonly name: string;
  /** As people call it, in a sentence. */
  readonly title: string;
  /** Kinds of kernel image that it boots. */
  readonly imageKinds: readonly string[];
  /** The image that it boots unless told otherwise. */
  readonly defaultImage: string;
  /** Images that come with it, and are in no store. */
  readonly ownImages?: readonly KernelImage[];
  /** Whether its kernels' memory is the host's, and so no larger. */
  readonly usesHostMemory: boolean;
  /** Files that a guest's users make on volumes are theirs only where the image has FUSE. */
  readonly ownersNeedFuse: boolean;
  /** By which signs it can be told how its kernels do; a check of their workload is one with each. Default: not declared. */
  readonly signs?: readonly KernelSign[];
  /** Name of the driver to use for what this one cannot do; null where there is none to name. */
  readonly instead: string | null;
  readonly auto: AutoTraits;
}

/** What `--driver auto` makes of a driver: of all that can run a request, the one of the highest rank is taken. */
export interface AutoTraits {
  /** Its rank on a machine where all it wants is there. */
  readonly bestRank: number;
  rank(availability: Availability): number;
  /** Why it is taken, as a whole; `lacks`: what keeps back those that could rank higher. */
  why(availability: Availability, asked: AutoRequest, lacks: readonly string[]): string;
  /** What keeps it back where it can be used. */
  lack(asked: AutoRequest): string;
}

export interface AutoRequest {
  cpus: number;
  /** An image was named, and it is of a kind that the driver boots. */
  byImage: boolean;
}

/** A driver as requests are judged by: what it is, and what it can do on this machine. */
export interface Candidate extends DriverFacts {
  traits: DriverTraits;
}
