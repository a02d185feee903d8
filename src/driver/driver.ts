/**
 * The one interface behind which kernels are run. What implements it passes test/support/conformance.ts; callers look at `traits`
 * (what it is) and `capabilities` (what it can do here), never at a driver's name.
 */
import type { Duplex } from 'node:stream';
import type { Check } from '../core/check.ts';
import type { GuestLink } from '../guest/index.ts';
import type { KernelImage, RootSource, Source } from '../image/contract.ts';
import type { NodeMemory } from '../ledger/types.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { Identity } from '../sys/identity.ts';
import type { NetworkPort } from './network-port.ts';
import type { Availability, Capabilities, DriverTraits } from './traits.ts';

/** A template that kernels were to be cloned from was of no use, and is no more, or there is no room for it. One that is prepared anew may be booted, `cold`. */
export class UnusableTemplate extends PolykernelError {
  constructor({ code, message, hint }: PolykernelError) {
    super(code, message, { hint });
  }
}

/** What was ended is not proven to be gone: all that it has stays its own. */
export class NotGone extends PolykernelError {
  /** `cause`: why it was to end. */
  constructor(message: string, { value, hint, cause }: { value: unknown; hint: string | undefined; cause?: unknown }) {
    super('internal', message, { value, hint, cause });
  }
}

export interface Volume {
  /** Absolute host path. */
  source: string;
  /** Absolute path inside the guest. */
  target: string;
  readOnly: boolean;
  /** Files in it may become set-uid and set-gid; for building roots, and for root alone. */
  maySetId?: boolean;
  /** What `source` stood for when the instance was created. */
  seen?: Source;
}

/** Memory that a kernel shares with another kernel or with the host: the ring of one channel. */
export interface SharedRegion {
  /** Of the channel: 32 lower-case hex digits. */
  id: string;
  /** Under which the guest finds it. */
  name: string;
  /** Which of at most 16 it is: unique within the kernel, and the number of its bell on the control line. */
  slot: number;
  /** File of the host that holds it, all of it, a whole number of pages. */
  path: string;
  bytes: number;
  /** The side that programs in the guest may take. */
  side: 'send' | 'recv';
}

/** A PCI function of the host that a kernel is given. */
export interface PassedFunction {
  /** Such as 0000:3b:00.2. */
  address: string;
  /** Its IOMMU group, by which VFIO gives it; null for drivers that have the host kernel give it. */
  group: number | null;
  /** What its owner calls it; null = nothing. */
  name: string | null;
}

/** The PCI functions of a kernel that runs, which come and go with its guest's consent. */
export interface KernelFunctions {
  /** Throws `unsupported` or `unavailable` when this kernel cannot be given any now. */
  check(): void;
  /** Addresses on the host of those that it has, as its VMM says. */
  list(): Promise<string[]>;
  /**
   * Plugs one in that vfio-pci has; resolves when the guest's kernel has seen it. Idempotent. Rejects with `not-ready` when it has not
   * in time, `unsupported` when the VMM refuses, as check() does, and as Kernel.attachRegion().
   */
  attach(given: PassedFunction): Promise<void>;
  /**
   * Plugs one out; resolves when the guest has let go of it and the VMM has none of it. Idempotent. Rejects with `not-ready` when the guest
   * does not let go in time: it has it still.
   */
  detach(address: string): Promise<void>;
}

/** What of the host one kernel owns. Numbers are those of the host kernel. */
export interface HostPlacement {
  /** Host CPU of each vCPU, in vCPU order; vCPU threads are pinned one to one. Those that are offline have no CPU of their own: they are with the first, should they run. */
  vcpuCpus: readonly number[];
  /** Memory per node in bytes; bound (MPOL_BIND). */
  memory: readonly NodeMemory[];
  /** Page size of the memory in bytes; null = ordinary pages. */
  hugePageBytes: number | null;
  /** Weight in the shared class, 1-10000 as cpu.weight; null = dedicated CPUs. */
  weight: number | null;
  /** CPUs' worth of time that its vCPUs may use at most, all together; null = all of those that they run on. */
  mostCpus: number | null;
}

/** Where a kernel really is, as the host kernel says now. */
export interface RealPlacement {
  /** Host CPUs that the thread of each vCPU may run on, in vCPU order. */
  vcpus: readonly (readonly number[])[];
  /** Host CPUs that its other threads may run on, those of its jail and shim among them, taken together. */
  others: readonly number[];
  /** Resident bytes of the VMM per node; null where the host kernel does not tell this user. */
  memory: readonly NodeMemory[] | null;
  /** How many of these bytes are in huge pages; null as `memory`. */
  hugePageBytes: number | null;
  /** CPUs' worth of time that its vCPUs may use at most; null = there is no bound. */
  mostCpus: number | null;
  /** Control groups of the vCPUs; empty where affinity is all there is. */
  groups: readonly RealGroup[];
  /** What bounds it; null for a kernel that was started without. */
  limits: RealLimits | null;
}

/** What one kernel may take of the host at most. */
export interface KernelLimits {
  /** Processes and threads. */
  processes: number;
  /** The guest's, its channels' and its overhead's together. */
  memoryBytes: number;
  overheadBytes: number;
  openFiles: number;
  /** Private memory of each process. */
  dataBytes: number;
}

/** Those of a launch, and the control groups that hold them, as the host kernel says now; none where there are none. */
export interface RealLimits extends KernelLimits {
  groups: readonly RealGroup[];
}

export interface RealGroup {
  /** Directory on the host. */
  path: string;
  /** Values of its control files, by file name, such as `cpuset.cpus`. */
  values: Readonly<Record<string, string>>;
}

/** What the host kernel has accounted to a kernel since its launch. Never goes back. */
export interface HostUsage {
  /** By vCPU: time on a CPU, and time it was ready to run and had to wait for one. */
  vcpus: readonly { ranNs: number; waitedNs: number }[];
  /** Time on a CPU of all that is no vCPU: other threads of the VMM, the jail, the shim. */
  othersRanNs: number;
  /** Memory that the VMM has touched; null where the host kernel does not tell. */
  residentBytes: number | null;
}

/** What a kernel has of its machine: CPUs that are online, memory that is in. */
export interface KernelSize {
  cpus: number;
  memoryBytes: number;
}

export interface StartSize extends KernelSize {
  /** Its memory may change later, and not only its CPUs. */
  memoryChanges: boolean;
  /** The least that it may ever have of that; default `memoryBytes`. */
  leastMemoryBytes?: number;
}

/** Everything a driver needs to run one kernel. Already validated; paths absolute. */
export interface LaunchSpec {
  /** Stable id of the instance: 32 lower-case hex digits; becomes the guest's machine id. */
  id: string;
  name: string;
  hostname: string;
  /** Existing, empty, private (0700) directory for sockets, logs and status files of this launch. */
  directory: string;
  /** Of the machine: the most that the kernel may ever have of it. */
  cpus: number;
  memoryBytes: number;
  /** What it begins with of these; undefined = all, for good. */
  size?: StartSize;
  image: KernelImage;
  root: RootSource;
  volumes: readonly Volume[];
  /** Whose its processes are on the host. */
  identity: Identity;
  /** Where the ledger put this kernel; undefined = it owns nothing and runs on the housekeeping CPUs. */
  placement: HostPlacement | undefined;
  /**
   * Host CPUs for everything that is no vCPU: other threads of VMMs, unpartitioned kernels. undefined = no pool exists:
   * any CPU allowed.
   */
  housekeepingCpus: readonly number[] | undefined;
  /** CPUs of the pool that nobody owns, for a kernel that may have more later; default none. */
  spareCpus?: readonly number[];
  /** Shared memory that is there before the first program of the guest runs. */
  regions: readonly SharedRegion[];
  /**
   * Where it is joined to a network, and what its /etc/hosts says; null = it has none but its own loopback. `wayOut`: how it
   * gets further than the other members; null = it does not. A file that is null is a volume's, and not ours to write.
   */
  network: {
    port: NetworkPort;
    hosts: string | null;
    wayOut: { gateway: string; resolvConf: string | null } | null;
  } | null;
  /** Functions of the host that are the kernel's alone; default none. vfio-pci has them, for drivers that give them through VFIO. */
  devices?: readonly PassedFunction[];
  /** Words for the kernel's command line, behind the driver's own; default none. With any it is booted. */
  append?: readonly string[];
  /** What is unpacked in the place of the image's initramfs, which is its end; default that. With it the kernel is booted. */
  initramfs?: string;
  /** Boot from scratch even where a template clone is possible. */
  cold: boolean;
  /** Deadline from spawn to the agent's answer. */
  readyTimeoutMs: number;
  /** Host paths hidden from a `host` root besides the driver's own list (the state directory). */
  hiddenPaths: readonly string[];
  /** State directories of other daemons of this user, hidden in volumes too; default none. */
  homes?: readonly string[];
  /** Directories of the host that a `host` root shows although its driver hides where they lie. */
  shownPaths: readonly Source[];
  /**
   * Open descriptor by whose lock the root's image stays in the cache, for start() alone: who watches over the kernel's
   * process keeps it as long as that runs, whatever becomes of this one.
   */
  rootLease?: number | undefined;
}

/** How a kernel ended. */
export interface KernelExit {
  /** `stopped`: powered off or killed on request. `panic`: the kernel panicked. `died`: its process went away unasked. */
  reason: 'stopped' | 'panic' | 'died';
  /** Exit status of the kernel's process, when known. */
  code: number | null;
  signal: string | null;
  /** For people: the panic line, or what happened. */
  message: string;
}

/** A kernel's memory as it is written to a file. What is in it is the guest's, and hostile. */
export interface MemorySource {
  /** More never come. */
  mostBytes: number;
  /**
   * All of it, secrets too, in a form that dump readers know: ELF core, or kdump as makedumpfile makes it. Of a kernel that is paused
   * it is of one moment. Left early, aborted or failed (`internal`, `kernel-died`), nothing of it goes on. Rejects as attachRegion().
   */
  read(signal: AbortSignal): Promise<AsyncGenerator<Buffer>>;
}

/** What driver or VMM see of a kernel before, or besides, its end. */
export interface KernelWord {
  /**
   * `panic`, `died`: it has ended so, and `exited` will say it when all of it is gone. `dumping`: it panicked, and another kernel in its
   * machine writes its memory down. `watchdog`: its watchdog ran out.
   */
  sign: 'panic' | 'died' | 'dumping' | 'watchdog';
  /** For people. */
  text: string;
}

/** A running kernel, as the daemon holds it. All methods may be called in any state and are idempotent. */
export interface Kernel {
  /** Main process on the host, for `inspect`; 0 for one that has none. */
  readonly pid: number;
  /** Whether it came from a template clone. */
  readonly cloned: boolean;
  /** Absent where functions are given at the start alone, or not at all. */
  readonly functions?: KernelFunctions;
  /** The control connection to the agent in the guest. Valid once start()/attach() resolved. */
  readonly guest: GuestLink;
  /** Resolves when the kernel is gone and its host resources are released; never rejects. */
  readonly exited: Promise<KernelExit>;
  /** Resolves, if ever, when it has ended and cannot be proven to be gone, with what is left: `exited` waits for that. */
  readonly unproven?: Promise<string>;
  /** Asks the guest to power off, then kills after `graceMs`. Resolves when it is gone. */
  stop(graceMs: number): Promise<KernelExit>;
  /** Kills at once. Resolves when it is gone; rejects with `internal` when that cannot be proven, and may be repeated. */
  kill(): Promise<KernelExit>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /**
   * Moves the running kernel to other CPUs, as many as it has; undefined = it owns nothing any more. Memory stays where it
   * is. Rejects with `invalid` (another number of CPUs), `kernel-died`, or `permission`/`internal` when the host kernel refuses.
   */
  repin(placement: HostPlacement | undefined, housekeepingCpus: readonly number[] | undefined): Promise<void>;
  /**
   * Gives the kernel another size, at most that of its machine: what it loses is taken out within first, and what it gains is there
   * when this resolves. A later size replaces an earlier one. Where its vCPUs run is repin()'s to say, before or after. `part`: all that
   * is another than before; nobody need be asked for the rest. Resolves with what it has then, read back as by size(part). Rejects with
   * `unsupported`, `not-ready` when the guest does not let go in time (it then has what size() says), `kernel-died` or `internal`.
   */
  resize(size: KernelSize, part?: keyof KernelSize): Promise<KernelSize>;
  /** What guest and VMM say that it has now; but for `part` it may be what its machine has. Rejects as resize() does. */
  size(part?: keyof KernelSize): Promise<KernelSize>;
  /** Asks the host kernel where this kernel is; never from memory of what was asked for. Rejects with `kernel-died`. */
  placementNow(): Promise<RealPlacement>;
  /**
   * For telemetry: cheap enough for several times a second. undefined when it has ended. Of one `atRest`, which has not run
   * since the last call, threads are not looked for anew.
   */
  usage(atRest?: boolean): HostUsage | undefined;
  /**
   * CPU time in nanoseconds of its vCPUs, or of so many of their threads that one that stirs is told from one at rest: far cheaper
   * than usage(). undefined when it is not known, or has ended. A kernel without it never counts as at rest.
   */
  ranNs?(): number | undefined;
  /**
   * Shows the guest a region by its name; idempotent. Rejects with `unsupported` where a kernel gets shared memory at boot
   * alone and this region was not among it, `internal` when kernel or guest refuse, or `kernel-died`.
   */
  attachRegion(region: SharedRegion): Promise<void>;
  /** Takes the name away, and the memory where that can be; idempotent. Rejects as attachRegion(). */
  detachRegion(region: Pick<SharedRegion, 'id' | 'name'>): Promise<void>;
  /**
   * Apart from its control line: a number that grows while its agent goes on, and stays when that does not; none: that it does not is
   * known. Absent or undefined where nothing of the kind is heard.
   */
  beats?(): number | 'none' | undefined;
  /** Has what driver and VMM see of it told from now on, as it is seen, and what they have seen before. At most one listener. */
  heed?(listener: (word: KernelWord) => void): void;
  /** Registers of its CPUs, as the VMM has them, for people. Absent where there is no VMM that tells. Rejects as attachRegion(). */
  registers?(): Promise<string>;
  /** Absent where its memory cannot be had. */
  readonly memory?: MemorySource;
  /** Bytes from and to the kernel's console; output from now on. Caller destroys it. */
  console(): Promise<Duplex>;
  /** Lets go without touching the kernel (the manager is going away). */
  detach(): void;
}

/** How a kernel that is being taken over is let go of. */
export interface Leave {
  signal: AbortSignal;
  /** Asked when that has aborted: whether the kernel is to be paused again first. */
  paused(): boolean;
}

export interface Driver {
  readonly traits: DriverTraits;
  /** Cheap after the first call; the first may boot a probe guest. */
  probe(signal?: AbortSignal): Promise<Availability>;
  capabilities(): Capabilities;
  /** What doctor says of what it needs; quick, and starts nothing. `images`: those that are in the store. */
  checks(images: readonly Pick<KernelImage, 'kind'>[]): Promise<readonly Check[]>;
  /**
   * Starts a kernel and resolves once its agent answered and the root file system is in place.
   * Rejects with `not-ready` (console tail in the message), `panic`, `kernel-died` or `unavailable`, or as UnusableTemplate; then
   * nothing is left.
   */
  start(spec: LaunchSpec, signal: AbortSignal, progress?: (phase: string) => void): Promise<Kernel>;
  /**
   * Finds the kernel launched in `directory` by an earlier process: a live one is re-attached, an ended one gives its
   * KernelExit, and undefined means nothing of it is left. A paused one is resumed, for it could not answer otherwise. Rejects
   * when it can neither be taken over nor proven to be gone: destroy() tells which. `seen`: told of the process of a live one before anything
   * is asked of that. `leave`: as soon as nobody waits for its guest any more this rejects.
   */
  attach(spec: LaunchSpec, seen?: (pid: number) => void, leave?: Leave): Promise<Kernel | KernelExit | undefined>;
  /**
   * Ends whatever a launch in `directory`, this driver's or not, has left running, and gives back what it held of the host;
   * removes none of its files. `id`: the instance's, where it is known. Idempotent.
   */
  destroy(directory: string, id?: string): Promise<void>;
  /** Path of the console log of a launch, which the host process keeps and rotates. */
  consoleLog(directory: string): string;
  /** Builds what makes later starts fast (a template); a no-op where capabilities say there is none. */
  prewarm(
    spec: Pick<LaunchSpec, 'image' | 'cpus' | 'memoryBytes' | 'housekeepingCpus' | 'identity'>,
    signal: AbortSignal,
  ): Promise<void>;
}
