/** A kernel in QEMU: pausing goes over the monitor, everything else as with every kernel under pk-shim. */
import { feedWatchdog, tellSize } from '../../guest/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { plainText } from '../../sys/text.ts';
import type { KernelFunctions, KernelSize, LaunchSpec, MemorySource, SharedRegion } from '../driver.ts';
import { allowRegion, limitToSize, releaseRegions } from '../jail/limits.ts';
import { type GuestEnd, ShimKernel, type ShimKernelOptions } from '../shim/kernel.ts';
import { readConsoleTail } from '../shim/shim.ts';
import { plugCard } from './card.ts';
import { LINE_MEMORY_BYTES } from './command.ts';
import { areHalted, HaltedLook, hasSaidSo } from './halted.ts';
import { plugLineMemory } from './line-memory.ts';
import { Monitor } from './monitor.ts';
import { QemuFunctions } from './plug-functions.ts';
import { isRecord, type Qmp, type QmpEvent } from './qmp.ts';
import { dropUnused, plugRegion, unplugRegion } from './regions.ts';
import { cpuSteps, memoryIn, onlineCpus, setMemory } from './resize.ts';
import { qemuThreads } from './threads.ts';
import { Watchdog } from './watchdog.ts';

/** For what the monitor has said to arrive, once QEMU has ended. */
const LAST_WORDS_MS = 200;
const WATCHDOG_SECONDS = 2;
/** How often a machine that sleeps is woken to be paused. */
const MAX_WAKES = 10;
/** For all of them together: who stops the kernel waits for a pause under way. */
const PAUSE_MS = 5000;

/** Of QEMU's event SHUTDOWN. */
const ENDS: ReadonlyMap<unknown, GuestEnd> = new Map([
  ['guest-panic', 'panic'],
  ['guest-reset', 'reset'],
  ['guest-shutdown', 'power-off'],
]);
/** Of the console, for what a kernel says as it halts. */
const LAST_LINES_BYTES = 1000;
const PAGE_BYTES = 4096;
/** In a dump, of each page: its entry, and its share in headers of the format. */
const PAGE_OVERHEAD_BYTES = 48;
const DUMP_HEADER_BYTES = 2 ** 20;
/** Two bits for each page below the highest, which a guest can have anywhere in the addresses of an emulated processor. */
const DUMP_MAPS_BYTES = (2 * 2 ** 40) / PAGE_BYTES / 8;
/** Of the text of a VMM that may have been taken over; a CPU has 3 KiB. */
const MAX_REGISTERS = 256 * 1024;

interface QemuKernelOptions extends ShimKernelOptions {
  machine: KernelSize;
  /** Memory can be taken out. */
  hasBalloon: boolean;
  identity: LaunchSpec['identity'];
}

export class QemuKernel extends ShimKernel {
  readonly #monitor: Monitor;
  readonly #watchdog = new Watchdog();
  readonly #halted = new HaltedLook();
  #isAsked = false;
  #end: GuestEnd | undefined;
  readonly #machine: KernelSize;
  readonly #hasBalloon: boolean;
  /** Bytes of the shared memory that its guest may have, by channel: in a dump as its own. */
  readonly #shared = new Map<string, number>();
  readonly functions: KernelFunctions & Pick<QemuFunctions, 'tell'>;

  constructor(options: QemuKernelOptions) {
    super(options);
    this.#monitor = new Monitor(options.directory, (event) => this.#hear(event));
    this.#machine = options.machine;
    this.#hasBalloon = options.hasBalloon;
    // Where it fails the line goes on as it is.
    options.guest.on('bulk', () => {
      plugLineMemory((use) => this.withMonitor(use), this.directory, this.guest).catch(() => {});
    });
    this.functions = new QemuFunctions({ ...options, withMonitor: (use) => this.withMonitor(use) });
  }

  async size(part?: keyof KernelSize): Promise<KernelSize> {
    const [cpus, memoryBytes] = await Promise.all([
      part === 'memoryBytes' ? this.#machine.cpus : this.#cpusNow(),
      part === 'cpus' ? this.#machine.memoryBytes : this.#memoryNow(),
    ]);
    return { cpus, memoryBytes };
  }

  async #cpusNow(): Promise<number> {
    return this.#machine.cpus === 1 ? 1 : await onlineCpus(this.guest);
  }

  async #memoryNow(): Promise<number> {
    return this.#hasBalloon ? await this.withMonitor(memoryIn) : this.#machine.memoryBytes;
  }

  /**
   * Each time that a guest is asked something costs as much as the change. So it is not asked first what it has, for a CPU that is as it
   * is to be stays so; what it has then is asked in the same breath, for its agent answers in turn; and it is told while memory comes
   * or goes: told again by what takes the change back, if it does not.
   */
  async resize({ cpus, memoryBytes }: KernelSize, part?: keyof KernelSize): Promise<KernelSize> {
    const steps = part === 'memoryBytes' ? [] : cpuSteps(this.#machine.cpus, cpus);
    const told = this.guest.configure([...steps, tellSize({ cpus, memoryBytes })]);
    const online = part === 'memoryBytes' ? this.#machine.cpus : this.#cpusNow();
    const isSame = part === 'cpus' || (!this.#hasBalloon && memoryBytes === this.#machine.memoryBytes);
    const moved = isSame ? undefined : this.withMonitor((monitor) => this.#resizeMemory(monitor, memoryBytes));
    const failed = (await Promise.allSettled([moved, told, online])).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
    return { cpus: await online, memoryBytes: part === 'cpus' ? memoryBytes : await this.#memoryNow() };
  }

  async #resizeMemory(monitor: Qmp, bytes: number): Promise<void> {
    const before = await memoryIn(monitor);
    const outBytes = this.#machine.memoryBytes - bytes;
    // What comes in is allowed first, what goes out afterwards.
    if (bytes > before) limitToSize(this.directory, outBytes);
    if (bytes !== before) await setMemory(monitor, bytes);
    limitToSize(this.directory, outBytes);
  }

  /** What it could not be told of in time it would do later: then it goes on. */
  pause(): Promise<void> {
    return this.withMonitor(async (monitor) => {
      try {
        await standStill(monitor);
      } catch (error) {
        monitor.execute('cont').catch(() => {});
        throw error;
      }
    });
  }

  resume(): Promise<void> {
    return this.withMonitor(async (monitor) => void (await monitor.execute('cont')));
  }

  registers(): Promise<string> {
    return this.withMonitor(async (monitor) => {
      const text = await monitor.execute('human-monitor-command', { 'command-line': 'info registers -a' });
      return plainText(typeof text === 'string' ? text.replaceAll('\r', '') : '', MAX_REGISTERS);
    });
  }

  get memory(): MemorySource {
    const { memoryBytes } = this.#machine;
    const mostBytes = mostDumpBytes(memoryBytes + this.#shared.values().reduce((sum, bytes) => sum + bytes, 0));
    return {
      mostBytes,
      read: async (signal) =>
        (await import('./dump.ts')).dumpQemu(this.directory, mostBytes, (use) => this.withMonitor(use), signal),
    };
  }

  async attachRegion(region: SharedRegion): Promise<void> {
    this.#shared.set(region.id, region.bytes);
    return await this.withMonitor(async (monitor) => {
      await this.#forgetGone(monitor, region.id);
      allowRegion(this.directory, region);
      await plugRegion(monitor, this.directory, this.guest, region);
    });
  }

  /** Plugs a network card in; once, at the start. Rejects as attachRegion(). */
  joinNetwork(network: NonNullable<LaunchSpec['network']>): Promise<void> {
    return this.withMonitor((monitor) => plugCard(monitor, this.directory, this.guest, network));
  }

  async detachRegion(region: Pick<SharedRegion, 'id' | 'name'>): Promise<void> {
    await this.withMonitor(async (monitor) => {
      await unplugRegion(monitor, this.guest, region);
      await this.#forgetGone(monitor);
    });
  }

  /** What its guest has let go of by now is not its memory any more, nor in its limit. `but`: is about to be. */
  async #forgetGone(monitor: Qmp, but?: string): Promise<void> {
    const hasFunction = await dropUnused(monitor);
    const isThere = (id: string) => id === but || hasFunction(id);
    for (const id of this.#shared.keys()) if (!isThere(id)) this.#shared.delete(id);
    releaseRegions(this.directory, isThere);
  }

  protected readonly threadsOf = qemuThreads;
  protected readonly childrenAreVcpu = false;

  protected get vcpuCount(): number {
    return this.#machine.cpus;
  }

  private withMonitor<T>(use: (monitor: Qmp) => Promise<T>): Promise<T> {
    return this.#monitor.use(use);
  }

  protected override async observedEnd(): Promise<GuestEnd | undefined> {
    await this.#monitor.ended(LAST_WORDS_MS);
    return this.#end;
  }

  beats(): number | 'none' | undefined {
    if (this.#halted.isDue(this.guest.heard)) void this.#endIfHalted();
    return this.#watchdog.beats(this.guest.answeredMs);
  }

  /** A guest that halted itself has no other end: QEMU keeps its machine. One that does not answer is not asked again meanwhile. Does not reject. */
  async #endIfHalted(): Promise<void> {
    if (this.#isAsked) return;
    this.#isAsked = true;
    try {
      if (
        !areHalted(await this.registers()) ||
        !hasSaidSo(await readConsoleTail(this.directory, LAST_LINES_BYTES)) ||
        this.ended
      )
        return;
      this.#end ??= 'power-off';
      await this.endProgram();
    } catch {
      // It is asked again.
    } finally {
      this.#isAsked = false;
    }
  }

  /** Has the agent feed the watchdog that the machine has, where the image has its driver. Does not reject. */
  async arm(signal?: AbortSignal): Promise<void> {
    this.#watchdog.isFed = await this.guest.configure([feedWatchdog(WATCHDOG_SECONDS)], signal).then(
      () => true,
      () => false,
    );
  }

  override detach(): void {
    super.detach();
    this.#monitor.close();
  }

  /** Of a QEMU that may have been taken over: what costs much is done for the first of its kind, and nothing is thrown. */
  #hear({ name, data }: QmpEvent): void {
    if (name === 'GUEST_PANICKED') {
      if (this.#end === 'panic') return;
      this.#end = 'panic';
      void this.panicText().then((text) => this.say({ sign: 'panic', text }));
    } else if (name === 'SHUTDOWN') {
      const end = ENDS.get(data.reason);
      // One that panicked is switched off by QEMU then.
      if (end !== undefined) this.#end ??= end;
    } else if (name === 'GUEST_CRASHLOADED') {
      this.say({ sign: 'dumping', text: 'its kernel panicked, and another one in its machine writes its memory down' });
    } else if (name === 'WATCHDOG' && this.#watchdog.isFed) {
      this.#watchdog.ranOut();
      this.say({ sign: 'watchdog', text: `nobody fed its watchdog for ${WATCHDOG_SECONDS} s` });
    }
  }
}

/** One that sleeps (ACPI S3) is woken for it: until version 9 QEMU stops nothing of such a machine, which then wakes by its own clock. */
async function standStill(monitor: Qmp): Promise<void> {
  const deadline = performance.now() + PAUSE_MS;
  for (let wakes = 0; wakes <= MAX_WAKES; wakes++) {
    const leftMs = Math.ceil(deadline - performance.now());
    if (leftMs <= 0) break;
    // In one breath: it is not to fall asleep again in between. It is not woken where it woke by itself just then.
    const woken = wakes > 0 ? monitor.execute('system_wakeup', {}, leftMs).catch(() => {}) : undefined;
    const looked = [monitor.execute('stop', {}, leftMs), monitor.execute('query-status', {}, leftMs)];
    const [, status] = await Promise.all([...looked, woken]);
    if (!isRecord(status) || status.status !== 'suspended') return;
  }
  throw new PolykernelError(
    'not-ready',
    'its machine sleeps again each time that it is woken, and QEMU pauses none that sleeps',
    { hint: 'Its guest is hostile, or broken: stop it.' },
  );
}

/** What a dump takes at most, when nothing of it can be packed. */
const mostDumpBytes = (memoryBytes: number): number =>
  memoryBytes +
  Math.ceil(memoryBytes / PAGE_BYTES) * PAGE_OVERHEAD_BYTES +
  DUMP_HEADER_BYTES +
  DUMP_MAPS_BYTES +
  LINE_MEMORY_BYTES;
