/** What tests of the whole daemon have of it (model-daemon.ts), ended with each test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { DaemonOptions } from '../../src/daemon/index.ts';
import type { InstanceStatus } from '../../src/instance/contract.ts';
import { IdRegistry } from '../../src/instance/id-registry.ts';
import { modelDaemon, type TestDaemon } from './model-daemon.ts';

export { HOST, type TestDaemon } from './model-daemon.ts';

/** A registry of user ids as root's daemon has it, of the test's own. */
export async function testRegistry(): Promise<IdRegistry> {
  const directory = await mkdtemp(join(tmpdir(), 'pk-ids-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const mappable = () => [{ start: 0, count: 2 ** 32 - 1 }];
  const options = { taken: () => [], mappable, inUse: () => new Set<number>() };
  return new IdRegistry(directory, { file: join(directory, 'ids.db'), ...options });
}

/** Starts it; after the test it is closed, its kernels are ended and its directory is removed. */
export async function startDaemon(options: Partial<DaemonOptions> = {}): Promise<TestDaemon> {
  const { test, end } = await modelDaemon(options);
  // Not a hook of this module: those are of the first file of a process that loads it.
  onTestFinished(end);
  return test;
}

/** Waits until `probe` gives something, checking again and again, up to a deadline. */
export async function eventually<T>(
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 15_000,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const result = await probe();
    if (result !== undefined && result !== false) return result;
    if (Date.now() > deadline) throw new Error(`did not come true within ${deadlineMs} ms: ${probe}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The instance, once it is in `state`. */
export async function untilState(
  test: TestDaemon,
  name: string,
  state: InstanceStatus['state'],
): Promise<InstanceStatus> {
  return eventually(async () => {
    const status = await test.client.inspect(name);
    return status.state === state && status;
  });
}

/** All that a process says, and its end. */
export async function gather(process: {
  stdout: NodeJS.ReadableStream;
  stderr: NodeJS.ReadableStream;
  exited: Promise<unknown>;
}) {
  let stdout = '';
  let stderr = '';
  process.stdout.on('data', (data) => {
    stdout += data;
  });
  process.stderr.on('data', (data) => {
    stderr += data;
  });
  const ended = Promise.all([
    new Promise((resolve) => process.stdout.on('end', resolve)),
    new Promise((resolve) => process.stderr.on('end', resolve)),
  ]);
  const exit = await process.exited;
  await ended;
  return { exit, stdout, stderr };
}
