/** What the clocks of a guest promise, on real kernels in a daemon whose own clock the test sets. */
import { describe, expect, it } from 'vitest';
import { QemuDriver } from '../../src/driver/qemu/driver.ts';
import { qemuThreads } from '../../src/driver/qemu/threads.ts';
import { launchThreads } from '../../src/driver/shim/launch-threads.ts';
import { UmlDriver } from '../../src/driver/uml/driver.ts';
import { ImageStore, prepareRoot } from '../../src/image/contract.ts';
import { oneForAll } from '../../src/instance/identities.ts';
import { kernelDirectory } from '../../src/instance/launch.ts';
import { systemClock } from '../../src/sys/clock.ts';
import { layout } from '../../src/sys/paths.ts';
import { behind, bestReading, clockReader, READ_CLOCKS, type Reading, tooFast } from '../support/guest-clock.ts';
import { eventually, startDaemon } from '../support/harness.ts';
import { testIdentity } from '../support/identity.ts';

const IMAGES = { uml: 'debian:uml', qemu: 'debian:amd64' } as const;
const DEADLINE_MS = 200_000;
/** What is promised of the wall clock, in ms. */
const BOUND = 500;
const MINUTE = 60_000;
/** To a day after January 2038, before February 2106: bash counts seconds in 32 bits. */
const BEYOND_31_BITS = 2_000_000_000_000;

/** A kernel, and the clock of its host. */
async function withGuest(
  driver: keyof typeof IMAGES,
  cold: boolean,
  body: (guest: {
    read: () => Promise<Reading>;
    client: Awaited<ReturnType<typeof startDaemon>>['client'];
    /** Sets the host's clock. */
    setHost(milliseconds: number): void;
    /** Of the process that is the kernel or emulates its machine. */
    vmm(): number;
    isRight(): Promise<unknown>;
  }) => Promise<void>,
): Promise<void> {
  const images = new ImageStore();
  if (!(await images.list()).some(({ name }) => name === IMAGES[driver])) await images.pull(IMAGES[driver]);
  let set = 0;
  const now = () => Date.now() + set;
  const test = await startDaemon({
    drivers: [new UmlDriver(), new QemuDriver()],
    images,
    prepareRoot,
    clock: { ...systemClock, now },
    identities: oneForAll(testIdentity),
  });
  const { client } = test;
  await client.create({ name: 'guest', driver, cold, cwd: '/', command: ['sleep', '1000000'] });
  try {
    const { id } = await eventually(async () => {
      const status = await client.inspect('guest');
      if (status.exit !== null) throw new Error(status.exit.message);
      return status.state === 'running' && status;
    }, DEADLINE_MS);
    const process = await client.exec('guest', READ_CLOCKS);
    process.stderr.resume();
    const read = clockReader(process, now);
    await body({
      read,
      client,
      setHost: (milliseconds) => {
        set += milliseconds;
      },
      // For both drivers: the first process in the jail that is not the jail's own.
      vmm: () => qemuThreads(launchThreads(kernelDirectory(layout(test.home), id))).vmm,
      isRight: () =>
        eventually(async () => {
          const { least, most } = behind(await read());
          return least > -BOUND && most < BOUND;
        }, DEADLINE_MS),
    });
    process.stdin.end();
    await process.exited;
  } finally {
    await client.remove('guest', { force: true });
  }
}

describe.each([
  ['uml', false],
  ['qemu, cold', true],
  ['qemu, a clone', false],
] as const)('the clocks of %s', (name, cold) => {
  const driver = name === 'uml' ? 'uml' : 'qemu';

  it('run as fast as those of the host, and tell its time from the first', async () => {
    await withGuest(driver, cold, async ({ read, isRight }) => {
      await isRight();
      const first = await bestReading(read, lasting(500));
      const last = await bestReading(read, lasting(4_000));
      // However slow the machine is: what was seen does not contradict what is promised.
      const { least, most } = tooFast('monotonic', first, last);
      expect(least).toBeLessThan(0.001);
      expect(most).toBeGreaterThan(-0.001);
      await isRight();
    });
  });
});

describe.each(['uml', 'qemu'] as const)('the wall clock of %s is right', (driver) => {
  it('after a pause, a stop of its whole process, a jump of the host and one of its own', async () => {
    await withGuest(driver, false, async ({ read, client, setHost, vmm, isRight }) => {
      await isRight();
      for (const jump of [MINUTE, -MINUTE, 2_000, -2_000, BEYOND_31_BITS, -BEYOND_31_BITS]) {
        setHost(jump);
        await isRight();
      }
      const before = await read();
      await client.pause('guest');
      const paused = performance.now();
      setHost(MINUTE);
      await untilOver(paused + 1_000);
      const stood = performance.now() - paused;
      await client.resume('guest');
      await isRight();
      const after = await read();
      const ran = after.monotonic - before.monotonic;
      // Of the time between the readings at least `stood` was in the pause: QEMU's clock stands in it, UML's does not.
      if (driver === 'qemu')
        expect(ran).toBeLessThan((after.after.monotonic - before.before.monotonic - stood) * 1.001);
      else expect(ran).toBeGreaterThan((after.before.monotonic - before.after.monotonic) * 0.999);
      process.kill(vmm(), 'SIGSTOP');
      setHost(MINUTE);
      process.kill(vmm(), 'SIGCONT');
      await isRight();
      for (const time of ['2001-01-01', '2035-01-01']) {
        const set = await client.exec('guest', { command: ['date', '-s', time] });
        set.stdout.resume();
        set.stderr.resume();
        expect(await set.exited).toMatchObject({ exitCode: 0 });
        await isRight();
      }
    });
  });
});

const untilOver = (time: number) => eventually(() => performance.now() >= time);

/** True until so many milliseconds are over. */
function lasting(milliseconds: number): () => boolean {
  const end = performance.now() + milliseconds;
  return () => performance.now() < end;
}
