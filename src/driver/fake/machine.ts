/** What outlives a manager of a fake kernel: its guest, and its files in the launch directory. */
import { appendFileSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PassThrough } from 'node:stream';
import { PolykernelError } from '../../sys/errors.ts';
import type { HostPlacement, KernelExit, KernelSize, KernelWord, LaunchSpec, RealPlacement } from '../driver.ts';
import { FakeGuest } from './guest.ts';

/** Host names that make a launch fail. */
export const SENTINELS = {
  neverReady: 'never-ready',
  bootPanic: 'boot-panic',
  bootDeath: 'boot-death',
  neverGives: 'never-gives',
  neverTakes: 'never-takes',
  refuses: 'refuses',
} as const;

export const STOPPED: KernelExit = { reason: 'stopped', code: null, signal: 'SIGKILL', message: 'stopped on request' };
export const PANIC = 'Kernel panic - not syncing: sysrq triggered crash';

export class FakeMachine {
  readonly guest: FakeGuest;
  readonly neverGives: boolean;
  readonly neverTakes: boolean;
  readonly refuses: boolean;
  readonly exited: Promise<KernelExit>;
  readonly consoles = new Set<PassThrough>();
  heeded: ((word: KernelWord) => void) | undefined;
  placement: RealPlacement = {
    ...{ vcpus: [], others: [], memory: [], hugePageBytes: 0, mostCpus: null },
    ...{ groups: [], limits: null },
  };
  /** PCI functions that it has. */
  readonly functions: Set<string>;
  readonly #cpus: number;
  size: KernelSize;
  exit: KernelExit | undefined;
  #resolve!: (exit: KernelExit) => void;
  readonly #directory: string;
  readonly #bootId: string;
  readonly #onEnd: () => void;

  constructor(spec: LaunchSpec, bootId: string, onEnd: () => void) {
    this.#onEnd = onEnd;
    this.#directory = spec.directory;
    this.#bootId = bootId;
    this.neverGives = spec.hostname === SENTINELS.neverGives;
    this.neverTakes = spec.hostname === SENTINELS.neverTakes;
    this.refuses = spec.hostname === SENTINELS.refuses;
    this.#cpus = spec.cpus;
    this.functions = new Set(spec.devices?.map(({ address }) => address));
    this.size = spec.size ?? { cpus: spec.cpus, memoryBytes: spec.memoryBytes };
    this.place(spec.placement, spec.housekeepingCpus);
    this.exited = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.guest = new FakeGuest({
      hostname: spec.hostname,
      bootId,
      release: '6.1.0-fake',
      cpus: spec.cpus,
      onPanic: () => {
        this.print(`${PANIC}\n`);
        this.end({ reason: 'panic', code: null, signal: 'SIGABRT', message: PANIC });
      },
      onDie: () =>
        this.end({ reason: 'died', code: 1, signal: null, message: "the kernel's process ended with status 1" }),
      onPoweroff: () => this.end({ reason: 'stopped', code: 0, signal: null, message: 'the guest powered itself off' }),
      onConsole: (text) => this.print(text),
      onSessions: () => this.save(),
    });
    this.resize(this.size);
    this.print('Linux version 6.1.0-fake\n');
    this.save();
  }

  resize(size: KernelSize): void {
    this.size = { cpus: size.cpus, memoryBytes: size.memoryBytes };
    const online = size.cpus === 1 ? '0' : `0-${size.cpus - 1}`;
    this.guest.files.set('/sys/devices/system/cpu/online', { mode: 0o444, content: Buffer.from(`${online}\n`) });
  }

  place(placement: HostPlacement | undefined, housekeepingCpus: readonly number[] | undefined): void {
    const others = housekeepingCpus ?? [];
    if (placement !== undefined && placement.vcpuCpus.length !== this.#cpus) {
      throw new PolykernelError('invalid', `the kernel has ${this.#cpus} vCPUs, not ${placement.vcpuCpus.length}`, {
        field: 'placement.vcpuCpus',
        value: placement.vcpuCpus,
      });
    }
    const vcpus = placement?.vcpuCpus.map((cpu) => [cpu]) ?? Array.from({ length: this.#cpus }, () => others);
    const { memory = [], hugePageBytes = null, mostCpus = null } = placement ?? {};
    const bytes = memory.reduce((sum, each) => sum + each.bytes, 0);
    this.placement = {
      vcpus,
      others,
      memory,
      hugePageBytes: hugePageBytes === null ? 0 : bytes,
      mostCpus,
      groups: [],
      limits: null,
    };
  }

  print(text: string): void {
    try {
      appendFileSync(join(this.#directory, 'console.log'), text);
    } catch {
      // The directory is gone, or the disk is full.
    }
    for (const console of this.consoles) console.write(text);
  }

  save(): void {
    if (this.exit !== undefined || !existsSync(this.#directory)) return;
    writeFileSync(statePath(this.#directory), JSON.stringify({ bootId: this.#bootId, sessions: this.guest.running() }));
  }

  end(exit: KernelExit): void {
    if (this.exit !== undefined) return;
    this.exit = exit;
    this.#onEnd();
    this.guest.halt();
    rmSync(statePath(this.#directory), { force: true });
    try {
      writeFileSync(exitPath(this.#directory), JSON.stringify(exit));
    } catch {
      // Removed meanwhile: nobody will ask.
    }
    for (const console of this.consoles) console.end();
    this.#resolve(exit);
  }
}

export const statePath = (directory: string) => join(directory, 'fake.json');
export const exitPath = (directory: string) => join(directory, 'exit.json');
