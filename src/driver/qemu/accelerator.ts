/**
 * Whether KVM works here. That /dev/kvm opens proves nothing: in some virtual machines a guest started with it never
 * gets anywhere. So a tiny guest (probe-firmware.ts) is run once per boot of the host, against emulation on that host.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';
import { run } from '../../sys/process.ts';
import type { Accelerator } from './command.ts';
import { oncePerBoot } from './once-per-boot.ts';
import { DEBUG_PORT, probeFirmware, SUCCESS_STATUS } from './probe-firmware.ts';
import type { QemuProgram } from './program.ts';

const KVM = '/dev/kvm';
/** What works is faster than emulation, what is itself emulated dozens of times slower: in between, with room for a bad moment. */
const MOST_OF_EMULATION = 8;

export interface AcceleratorChoice {
  accelerator: Accelerator;
  /** For people: what was seen. */
  reason: string;
}

/** Finds the accelerator; the result of trying KVM is kept in the file `cache`. */
export async function chooseAccelerator(
  qemu: QemuProgram,
  cache: string,
  signal?: AbortSignal,
): Promise<AcceleratorChoice> {
  if (!existsSync(KVM)) return tcg(`this machine has no ${KVM}`);
  try {
    accessSync(KVM, constants.R_OK | constants.W_OK);
  } catch {
    return tcg(`this user may not open ${KVM} (a member of its group may)`);
  }
  return await oncePerBoot(cache, qemu.version, readChoice, () => tryKvm(qemu, signal));
}

const tcg = (reason: string): AcceleratorChoice => ({
  accelerator: 'tcg',
  reason: `${reason}: QEMU emulates the processor (TCG)`,
});

async function tryKvm(qemu: QemuProgram, signal?: AbortSignal): Promise<AcceleratorChoice> {
  const directory = await mkdtemp(join(tmpdir(), 'pk-kvm-'));
  try {
    const firmware = join(directory, 'firmware');
    await writeFile(firmware, probeFirmware());
    const begun = performance.now();
    await runGuest(qemu, 'tcg', firmware, { signal });
    const deadlineMs = MOST_OF_EMULATION * (performance.now() - begun);
    const result = await runGuest(qemu, 'kvm', firmware, { deadlineMs, signal });
    if (result.code === SUCCESS_STATUS) return { accelerator: 'kvm', reason: 'a guest started with KVM ran' };
    const complaint = result.stderr.trim().split('\n').at(-1)?.slice(0, 200) || `QEMU ended with ${result.code}`;
    return tcg(`${KVM} does not work (${complaint})`);
  } catch (error) {
    if (signal?.aborted || !(error instanceof PolykernelError) || error.code !== 'internal') throw error;
    return tcg(
      `${KVM} opens, but a small guest with it took more than ${MOST_OF_EMULATION} times as long as an emulated one`,
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const runGuest = (
  qemu: QemuProgram,
  accelerator: Accelerator,
  firmware: string,
  limits: { deadlineMs?: number; signal: AbortSignal | undefined },
) =>
  run(
    [
      ...[qemu.path, '-accel', accelerator, '-machine', 'pc', '-m', '32M', '-nodefaults', '-no-user-config'],
      ...qemu.firmware.flatMap((path) => ['-L', path]),
      ...['-display', 'none', '-bios', firmware, '-device', `isa-debug-exit,iobase=${DEBUG_PORT},iosize=4`],
    ],
    { ...limits, env: qemu.env },
  );

function readChoice({ accelerator, reason }: Record<string, unknown>): AcceleratorChoice | undefined {
  if (typeof reason !== 'string' || (accelerator !== 'kvm' && accelerator !== 'tcg')) return undefined;
  return { accelerator, reason };
}
