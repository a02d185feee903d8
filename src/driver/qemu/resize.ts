/** CPUs of a running guest that go offline and online within it, and memory that a balloon takes out and gives back. */
import { setTimeout as delay } from 'node:timers/promises';
import { type GuestLink, type Pair, readShortFile } from '../../guest/index.ts';
import { parseCpuList } from '../../sys/cpu-list.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { formatBytes } from '../../sys/units.ts';
import { isRecord, type Qmp } from './qmp.ts';

const CPUS = '/sys/devices/system/cpu';
/** Reclaiming what programs have touched takes the guest a while; what it has not given by then it does not want to give. */
const BALLOON_DEADLINE_MS = 10_000;
const BALLOON_POLL_MS = 10;
const MIB = 2 ** 20;

/** Steps of CONFIGURE that leave the first `cpus` of the machine's online. CPU 0 always is. */
export const cpuSteps = (machineCpus: number, cpus: number): Pair[] =>
  Array.from({ length: machineCpus - 1 }, (_, index): Pair => {
    const cpu = index + 1;
    return ['write', `${CPUS}/cpu${cpu}/online\x1f${cpu < cpus ? 1 : 0}`];
  });

/** How many the guest's kernel says are online. Throws `protocol` for what is no list of CPUs, and as readShortFile(). */
export async function onlineCpus(guest: Pick<GuestLink, 'readFile' | 'blame'>): Promise<number> {
  const list = await readShortFile(guest, `${CPUS}/online`);
  try {
    return parseCpuList(list).length;
  } catch (cause) {
    throw new PolykernelError('protocol', 'the guest does not say which CPUs are online', { cause });
  }
}

/** Bytes that are not in the balloon. */
export async function memoryIn(monitor: Qmp): Promise<number> {
  const balloon = await monitor.execute('query-balloon');
  if (isRecord(balloon) && Number.isSafeInteger(balloon.actual) && Number(balloon.actual) >= 0)
    return Number(balloon.actual);
  throw new PolykernelError('protocol', 'QEMU does not say how large the balloon is');
}

/**
 * Has the guest give up or take back memory until it has `bytes`. Rejects with `not-ready` when it does not get there: it is then
 * asked for no more than it gave.
 */
export async function setMemory(monitor: Qmp, bytes: number): Promise<void> {
  await monitor.execute('balloon', { value: bytes });
  const deadline = performance.now() + BALLOON_DEADLINE_MS;
  let now = await memoryIn(monitor);
  while (now !== bytes && performance.now() < deadline) {
    await delay(BALLOON_POLL_MS);
    now = await memoryIn(monitor);
  }
  if (now === bytes) return;
  await monitor.execute('balloon', { value: Math.ceil(now / MIB) * MIB });
  throw new PolykernelError(
    'not-ready',
    `the guest has ${formatBytes(now)} after ${BALLOON_DEADLINE_MS / 1000} s, and not ${formatBytes(bytes)}`,
    {
      field: 'memoryBytes',
      value: bytes,
      hint: 'Its programs use more than that. Leave it more, or stop some of them.',
    },
  );
}
