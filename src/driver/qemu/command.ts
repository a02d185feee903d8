/**
 * The command line of QEMU. Pure.
 *
 * A template and its clones must have the same machine: same devices in the same order, same CPUs and memory. So every
 * kernel has every device, whether it needs it or not: the control port, two 9p shares, and one read-only disk that is
 * empty unless the root is a file system image.
 */
import { lineMemoryBytes } from '../../guest/index.ts';
import type { PassedFunction } from '../driver.ts';
import { JAIL_ROOT_IMAGE, JAIL_VMM } from '../jail/jail.ts';

export type Accelerator = 'kvm' | 'tcg';

/** Raised when the command line changes in a way that makes old templates useless. */
export const COMMAND_VERSION = 8;

/** Inside the jail. */
export const JAIL_KERNEL = `${JAIL_VMM}/kernel`;
export const JAIL_INITRAMFS = `${JAIL_VMM}/initramfs`;
export const JAIL_RAM = `${JAIL_VMM}/ram`;
export const JAIL_STATE = `${JAIL_VMM}/state`;
/** The directory whose children are the root and the volumes. */
export const JAIL_EXPORT = '/export';

/** Slots in each direction of the memory beside the control line. As the memory of a PCI function it has a power of two of bytes. */
export const QEMU_SLOTS = 16;
export const LINE_MEMORY_BYTES = lineMemoryBytes(QEMU_SLOTS, false);
/** In QEMU. */
export const LINE_MEMORY = 'line-memory';

/** Of the network card: below the places of channels, above those of the machine itself. */
export const CARD_ADDRESS = '0xf.0';
export const CARD_ID = 'card';

/** Names of the 9p shares, as the guest mounts them: both of JAIL_EXPORT, as one can be mounted but once, and only in one way. */
export const SHARE_TAG = 'export';
export const VOLUMES_TAG = 'volumes';
/** The disk with the root file system, in the guest. */
export const ROOT_DEVICE = '/dev/vda';

export interface Machine {
  accelerator: Accelerator;
  /** Rate of the host's time-stamp counter, for TCG; null = the guest finds it itself. */
  tscKhz: number | null;
  cpus: number;
  memoryBytes: number;
  /** Memory can be taken out of the guest; default not. */
  balloon?: boolean;
}

/**
 * boot: memory of its own, from the kernel on. template: likewise, but the memory is the file JAIL_RAM, to be kept.
 * clone: a private view of that file, and it waits for the rest of its state.
 */
export type Start = 'boot' | 'template' | 'clone';

export interface CommandSpec extends Machine {
  /** QEMU's path inside the jail. */
  program: string;
  /** Directories inside the jail where it looks for firmware. */
  firmware: readonly string[];
  start: Start;
  /** Page size of the guest's memory in bytes, for `boot` alone; null = ordinary pages. */
  hugePageBytes: number | null;
  /** Words for the kernel's command line, behind those it has anyway; default none. */
  append?: readonly string[];
  /** The root is a file system image at JAIL_ROOT_IMAGE. */
  rootImage: boolean;
  /** Functions of the host, for `boot` alone. */
  functions?: readonly PassedFunction[];
  /** There is a network card with nothing behind it: of a template, and of a clone that has no network. Default not. */
  emptyCard?: boolean;
  /** Descriptor of LINE_MEMORY_BYTES to be shared with the guest once it runs (line-memory.ts); default none. */
  lineMemoryFd?: number;
}

/** Descriptors that pk-shim gives its program, besides the console on 0-2. */
const CONTROL_FD = 3;
const MONITOR_FD = 4;
/**
 * Translated code of a guest, at most. The default of 1 GiB would let one busy guest take that much of the host; a whole
 * Node.js with its kernel needs less than 64 MiB.
 */
const TRANSLATION_CACHE_MIB = 256;

export function qemuCommand(spec: CommandSpec): string[] {
  const firmware = spec.firmware.flatMap((directory) => ['-L', directory]);
  return [spec.program, ...firmware, ...machineArguments(spec), ...deviceArguments(spec), ...startArguments(spec)];
}

function machineArguments(spec: CommandSpec): string[] {
  const memory = `${Math.floor(spec.memoryBytes / 2 ** 20)}M`;
  const shared = memoryBackend(spec, memory);
  // mem-merge: equal pages of two tenants would tell each what the other has.
  const machine = `pc,usb=off,vmport=off,graphics=off,mem-merge=off${shared.length > 0 ? ',memory-backend=ram' : ''}`;
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-name', 'polykernel,debug-threads=on'],
    ...(spec.accelerator === 'kvm'
      ? // No machines within the machine: guest root could try all that the host's kernel does for those. Nor counters of the processor: one
        // that runs over at each instruction has the host lower, for good, how often anybody may be interrupted by his.
        ['-accel', 'kvm', '-cpu', 'host,vmx=off,svm=off,pmu=off']
      : // Nehalem is x86-64-v2: what distributions ask for, and no slower to translate than the default. With rdrand the
        // kernel has entropy at once, so that no clone has to go through its generator's coming to life.
        ['-accel', `tcg,thread=multi,tb-size=${TRANSLATION_CACHE_MIB}`, '-cpu', 'Nehalem,+rdrand']),
    ...['-machine', machine, '-m', memory, '-smp', `cpus=${spec.cpus},sockets=1,cores=${spec.cpus},threads=1`],
    ...shared,
    ...lineMemory(spec),
    ...['-sandbox', `on,obsolete=deny,elevateprivileges=deny,resourcecontrol=deny,spawn=${spawn(spec.start)}`],
  ];
}

/** Only QEMU that makes a template, where no workload runs, starts a program: the one that writes the state. */
function spawn(start: Start): string {
  return start === 'template' ? 'allow' : 'deny';
}

function memoryBackend({ start, hugePageBytes }: CommandSpec, memory: string): string[] {
  if (start !== 'boot') return memoryFile(memory, start === 'template');
  if (hugePageBytes === null) return [];
  // All pages at once: a page that is missing later would kill the guest.
  const pages = `hugetlb=on,hugetlbsize=${hugePageBytes},prealloc=on`;
  return ['-object', `memory-backend-memfd,id=ram,size=${memory},${pages}`];
}

function memoryFile(memory: string, shared: boolean): string[] {
  return ['-object', `memory-backend-file,id=ram,size=${memory},mem-path=${JAIL_RAM},share=${shared ? 'on' : 'off'}`];
}

function lineMemory({ lineMemoryFd }: CommandSpec): string[] {
  if (lineMemoryFd === undefined) return [];
  const file = `size=${LINE_MEMORY_BYTES},mem-path=/proc/self/fd/${lineMemoryFd},share=on`;
  return ['-object', `memory-backend-file,id=${LINE_MEMORY},${file}`];
}

function deviceArguments(spec: CommandSpec): string[] {
  const disk = spec.rootImage
    ? `driver=raw,node-name=root,read-only=on,file.driver=file,file.filename=${JAIL_ROOT_IMAGE},file.locking=off`
    : 'driver=null-co,node-name=root,read-only=on,size=1048576,read-zeroes=on';
  return [
    // signal=off: Ctrl-C in the console is the guest's.
    ...['-chardev', 'stdio,id=con,signal=off', '-serial', 'chardev:con'],
    ...['-chardev', `socket,id=mon,fd=${MONITOR_FD}`, '-mon', 'chardev=mon,mode=control'],
    ...['-chardev', `socket,id=ctl,fd=${CONTROL_FD}`],
    ...['-device', 'virtio-serial-pci,id=ports,max_ports=2'],
    ...['-device', 'virtserialport,chardev=ctl,bus=ports.0,nr=1,name=polykernel'],
    // Whether a file may be written is decided by the jail's mounts; links in the share are the guest's to follow.
    ...shareArguments(SHARE_TAG, spec.accelerator),
    ...['-blockdev', disk, '-device', 'virtio-blk-pci,drive=root'],
    ...shareArguments(VOLUMES_TAG, spec.accelerator),
    // What the guest's kernel says of its own end, and whether its agent goes on, apart from console and control line. A watchdog that
    // runs out is only told of.
    ...['-device', 'pvpanic', '-device', 'i6300esb', '-action', 'panic=shutdown', '-action', 'watchdog=none'],
    ...(spec.functions ?? []).flatMap(functionArguments),
    // Nothing boots from it. With a network behind it it comes later (card.ts).
    ...(spec.emptyCard ? ['-device', `virtio-net-pci,id=${CARD_ID},addr=${CARD_ADDRESS},romfile=`] : []),
    ...(spec.balloon ? ['-device', 'virtio-balloon-pci,id=balloon'] : []),
  ];
}

/**
 * An emulated CPU waits for the answer anyway, so it begins with a request itself: QEMU's main loop need not be woken for that, and
 * for one without calls of the host (Tclunk, a third of all) not at all.
 */
const shareArguments = (tag: string, accelerator: Accelerator): string[] => [
  ...['-fsdev', `local,id=${tag},path=${JAIL_EXPORT},security_model=none,multidevs=remap`],
  '-device',
  `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}${accelerator === 'tcg' ? ',ioeventfd=off' : ''}`,
];

/** What QEMU is told of its functions, inside the jail. */
export const JAIL_FUNCTIONS = `${JAIL_VMM}/pci`;
/** Where a function's own part of that is: its last name is what VFIO knows it by. */
export const jailFunction = (address: string): string => `${JAIL_FUNCTIONS}/${address}`;

/** In QEMU. The address has no place in an id, which begins with a letter; nor has a name that an owner chose. */
export const functionId = (address: string): string => `pci-${address.replace(/[:.]/g, '-')}`;

const functionArguments = ({ address }: PassedFunction): string[] => [
  '-device',
  `vfio-pci,id=${functionId(address)},sysfsdev=${jailFunction(address)}`,
];

function startArguments(spec: CommandSpec): string[] {
  if (spec.start === 'clone') return ['-incoming', 'defer'];
  return [
    '-kernel',
    JAIL_KERNEL,
    '-initrd',
    JAIL_INITRAMFS,
    '-append',
    [kernelCommandLine(spec), ...(spec.append ?? [])].join(' '),
  ];
}

/**
 * Kernel parameters. Those for TCG switch off what protects against or measures real hardware: half of the boot time. An
 * emulated processor has the time-stamp counter of the host, and the guest takes its delays from that too.
 */
export function kernelCommandLine({ accelerator, tscKhz }: Pick<Machine, 'accelerator' | 'tscKhz'>): string {
  const isTcg = accelerator === 'tcg';
  return [
    ...['quiet', 'panic=-1', 'console=ttyS0', 'pk.control=virtio', 'cryptomgr.notests', 'random.trust_cpu=on'],
    ...(isTcg && tscKhz === null ? [] : ['tsc=reliable']),
    ...['no_timer_check', 'audit=0', 'lsm=landlock,yama', 'i8042.noaux', 'i8042.nokbd'],
    'initcall_blacklist=init_kprobe_trace,load_system_certificate_list,init_zswap,i8042_init',
    // What hangs within is told by the guest's kernel: lockups after twice the threshold, in seconds, and hung tasks.
    ...['nmi_watchdog=0', 'watchdog_thresh=5', 'rcupdate.rcu_cpu_stall_timeout=10'],
    'sysctl.kernel.hung_task_timeout_secs=60',
    ...(isTcg ? ['rodata=off', 'mitigations=off', 'init_on_alloc=0'] : []),
    ...(isTcg && tscKhz !== null ? [`tsc_early_khz=${tscKhz}`] : []),
  ].join(' ');
}
