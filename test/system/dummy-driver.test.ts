/** A driver that no folder of the product names: it is given to the daemon as a value, and everything else follows from it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { fakeGuest, fakeKernels } from '../../src/driver/fake/driver.ts';
import { nodeCommand } from '../../src/sys/node.ts';
import { conformance } from '../support/conformance.ts';
import { startDaemon, type TestDaemon } from '../support/harness.ts';
import { finished, type Ran } from '../support/pk.ts';
import { DUMMY_IMAGE, DummyDriver } from './dummy/driver.ts';

conformance('dummy', {
  createDriver: () => new DummyDriver(),
  cpus: [0, 1],
  image: async () => DUMMY_IMAGE,
  processesOf: async (directory) => fakeKernels(directory).map(() => 1),
  standsStill: (directory) => fakeGuest(directory)!.isPaused,
});

function pk({ home }: TestDaemon, ...args: string[]): Promise<Ran> {
  const [program, ...rest] = nodeCommand(join(import.meta.dirname, 'dummy/pk.ts'), args);
  const env = { ...process.env, POLYKERNEL_HOME: home, NO_COLOR: '1' };
  return finished(spawn(program!, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

it('runs a command by its name, and without', async () => {
  const test = await startDaemon({ drivers: [new DummyDriver()] });
  expect(await pk(test, 'run', '--driver', 'dummy', '--', 'echo', 'of straw')).toMatchObject({
    code: 0,
    stdout: 'of straw\n',
  });
  expect(await pk(test, 'run', '-d', '--name', 'straw', '--', 'sleep', 'inf')).toMatchObject({ code: 0 });
  expect((await test.client.inspect('straw')).spec).toMatchObject({
    driver: 'dummy',
    driverReason: 'the dummy, because it is made of straw',
    image: DUMMY_IMAGE.name,
  });
});

it('is limited by what it says of itself, in the words of all drivers', async () => {
  const test = await startDaemon({ drivers: [new DummyDriver()] });
  const four = await pk(test, 'run', '--driver', 'dummy', '--cpus', '4', '--', 'true');
  expect(four.stderr).toContain('cpus is 4; the most the dummy driver gives one kernel here is 3');
  const huge = {
    cpus: { kind: 'count', count: 1, numa: null, smt: 'whole-core', cache: 'any', near: null },
    memory: { kind: 'size', bytes: 2 ** 29, node: null, hugePageBytes: 2 ** 21 },
    devices: [],
  };
  await expect(test.create({ driver: 'dummy', command: ['true'], partition: huge as never })).rejects.toMatchObject({
    code: 'unsupported',
    message: 'the dummy driver cannot use huge pages',
    hint: 'Leave hugePages out.',
  });
});

it('is in doctor, in stack files and among the words of the API', async () => {
  const test = await startDaemon({ drivers: [new DummyDriver()] });
  const doctor = await pk(test, 'doctor');
  expect(doctor).toMatchObject({ code: 0 });
  expect(doctor.stdout).toMatch(/^✓ straw +it is dry$/m);
  expect(doctor.stdout).toMatch(/driver dummy +there is straw\n +isolation: none: it is of straw\n/);
  expect(doctor.stdout).toContain('--driver auto picks dummy: the dummy, because it is made of straw');
  const text = 'kernels:\n  straw: {driver: dummy, command: [sleep, inf]}\n';
  const plan = await test.client.plan({ text, file: 'polykernel.yaml', directory: test.home, defaultName: 'straw' });
  expect(plan.refused).toEqual([]);
  await expect(test.create({ driver: 'dumy', command: ['true'] })).rejects.toMatchObject({
    message: expect.stringMatching(/not one of auto, uml, qemu, multikernel, .*dummy/),
    hint: 'Did you mean dummy?',
  });
});
