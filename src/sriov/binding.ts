/** Which driver has a function: the host's own, or vfio-pci, by which it can be given to a kernel. */
import type { Clock } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { Patience } from './counts.ts';
import { DEVICES, seeFunction } from './functions.ts';
import { type Sysfs, SysfsFault } from './sysfs.ts';
import { until, within } from './waits.ts';

export const VFIO = 'vfio-pci';
const DRIVERS = 'bus/pci/drivers';
const GROUPS = 'kernel/iommu_groups';

export interface BindingOptions {
  sysfs: Sysfs;
  clock: Clock;
  patience: Patience;
}

/** Throws `unavailable` when no function can be given away on this machine, saying why. */
export async function checkVfio(sysfs: Sysfs): Promise<void> {
  if ((await sysfs.list(GROUPS)).length === 0) {
    throw new PolykernelError(
      'unavailable',
      'this machine has no IOMMU in use, without which a function reaches all memory',
      {
        field: 'device',
        hint: 'Switch VT-d or AMD-Vi on in the firmware, and boot with intel_iommu=on where the kernel asks for it.',
      },
    );
  }
  if ((await sysfs.list(DRIVERS)).includes(VFIO)) return;
  throw new PolykernelError('unavailable', 'the kernel has no driver vfio-pci loaded', {
    field: 'device',
    hint: 'Load it: modprobe vfio-pci',
  });
}

/** The functions of a group that no device can be told apart from, in ascending order. */
export const groupMembers = async (sysfs: Sysfs, group: number): Promise<string[]> =>
  (await sysfs.list(`${GROUPS}/${group}/devices`)).sort();

/**
 * Has vfio-pci take a function from whoever has it, read back. What was done is undone when it does not. Rejects with
 * `unavailable`.
 */
export async function bindVfio(address: string, { sysfs, clock, patience }: BindingOptions): Promise<void> {
  const before = (await seeFunction(sysfs, address))?.driver ?? null;
  if (before === VFIO) return;
  const write = (path: string, text: string) =>
    within(sysfs.write(path, text), patience.bind, clock, `binding ${address}`);
  try {
    await write(`${DEVICES}/${address}/driver_override`, VFIO);
    if (before !== null) await write(`${DRIVERS}/${before}/unbind`, address);
    await write(`${DRIVERS}/${VFIO}/bind`, address);
    // That the kernel takes the order says nothing: a driver may look at the function later, and fail.
    const isBound = async () => ((await seeFunction(sysfs, address))?.driver === VFIO ? true : undefined);
    if (await until(isBound, patience.bind, clock)) return;
    throw new PolykernelError('unavailable', `vfio-pci did not take ${address}, though the kernel said it would`);
  } catch (error) {
    await unbindVfio(address, before, { sysfs, clock, patience }).catch(() => {});
    const why = error instanceof SysfsFault ? `the kernel says ${error.code}` : (error as Error).message;
    throw new PolykernelError('unavailable', `${address} cannot be given away: ${why}`, {
      field: 'device',
      value: address,
      hint: 'The end of `dmesg` says more; vfio-pci refuses functions whose IOMMU group others hold.',
      cause: error,
    });
  }
}

/** Takes it from vfio-pci and has `driver` take it; null = none. Rejects with SysfsFault, `unavailable`. */
export async function unbindVfio(
  address: string,
  driver: string | null,
  { sysfs, clock, patience }: BindingOptions,
): Promise<void> {
  const write = (path: string, text: string) =>
    within(sysfs.write(path, text), patience.bind, clock, `unbinding ${address}`);
  const now = (await seeFunction(sysfs, address))?.driver ?? null;
  if (now !== null && now !== driver) await write(`${DRIVERS}/${now}/unbind`, address);
  // With autoprobe off a function takes a driver only by name.
  await write(`${DEVICES}/${address}/driver_override`, driver ?? '');
  if (driver === null) return;
  if (now !== driver) await write(`${DRIVERS}/${driver}/bind`, address);
  await write(`${DEVICES}/${address}/driver_override`, '');
}

/**
 * Has vfio-pci let go of a function: done only when nobody has it open any more, which is the proof that the VMM that had it, whatever
 * became of that, has no way to it. Rejects with `unavailable`, SysfsFault.
 */
export async function takeFromVfio(address: string, { sysfs, clock, patience }: BindingOptions): Promise<void> {
  if ((await seeFunction(sysfs, address))?.driver !== VFIO) return;
  const written = sysfs.write(`${DRIVERS}/${VFIO}/unbind`, address);
  try {
    await within(written, patience.bind, clock, `taking ${address} from who had it`);
  } catch (error) {
    // Somebody was faster.
    if (!(error instanceof SysfsFault) || error.code !== 'ENODEV') throw error;
  }
}

const REVISION_AND_CLASS = 8;

/**
 * Resets a function, after which it knows nothing of who had it, and sees that it answers again. Rejects with `unavailable`.
 */
export async function reset(address: string, { sysfs, clock, patience }: BindingOptions): Promise<void> {
  const refused = (why: string, cause?: unknown) =>
    new PolykernelError('unavailable', `${address} cannot be reset: ${why}`, {
      field: 'device',
      value: address,
      hint: 'It is given to nobody until it can be. Try `pk sriov release` again, or take the virtual functions away.',
      cause,
    });
  try {
    await within(sysfs.write(`${DEVICES}/${address}/reset`, '1'), patience.reset, clock, `resetting ${address}`);
    const word = await within(
      sysfs.bytes(`${DEVICES}/${address}/config`, REVISION_AND_CLASS),
      patience.reset,
      clock,
      `reading ${address}`,
    );
    if (word === 0xffffffff) throw refused('it does not answer any more (all ones)');
  } catch (error) {
    if (!(error instanceof SysfsFault)) throw error;
    throw refused(error.code === 'ENOENT' ? 'the kernel knows no way' : `the kernel says ${error.code}`, error);
  }
}
