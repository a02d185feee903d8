/** What clients follow goes on with the next daemon: after an end in good order, and after a kill where no byte was under way. */
import { describe, expect, it } from 'vitest';
import type { RemoteProcess } from '../../src/client/index.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';

const WAYS = [
  ['in good order', (test: TestDaemon) => test.daemon.close()],
  ['by a kill', (test: TestDaemon) => test.daemon.drop()],
] as const;

/** A foreground instance, or a command in another one. */
const KINDS = {
  async run(test: TestDaemon, command: string[]) {
    const { spec } = await test.create({ command, attached: true });
    return test.client.attach(spec.name);
  },
  async exec(test: TestDaemon, command: string[]) {
    await test.create({ name: 'web', command: ['sleep'] });
    await untilState(test, 'web', 'running');
    return test.client.exec('web', { command });
  },
};

function collect({ stdout, stderr }: RemoteProcess) {
  const said: Buffer[] = [];
  stdout.on('data', (chunk) => said.push(chunk));
  stderr.resume();
  return { text: () => Buffer.concat(said), ended: () => stdout.readableEnded };
}

describe.each(['run', 'exec'] as const)('%s', (kind) => {
  it.each(WAYS)('goes on after an end of its daemon %s, with each byte once and its exit code', async (_, end) => {
    const test = await startDaemon();
    const process = await KINDS[kind](test, ['cat']);
    const said = collect(process);
    const sent = Buffer.alloc(900_000, 'abcdefghijklmnopqrstuvwxyz');
    for (const part of [0, 1]) {
      process.stdin.write(sent.subarray(part * 300_000, (part + 1) * 300_000));
      // Nothing is under way: a kill costs nothing.
      await eventually(() => said.text().length === (part + 1) * 300_000);
      await end(test);
      await test.crashAndRestart();
    }
    process.stdin.end(sent.subarray(600_000));
    expect(await process.exited).toMatchObject({ reason: 'exit', exitCode: 0 });
    await eventually(said.ended);
    expect(said.text().equals(sent)).toBe(true);
    if (kind === 'run') await eventually(async () => (await test.client.list()).length === 0);
  });

  it.each(WAYS)('passes signals on that are sent while there is no daemon after an end %s', async (_, end) => {
    const test = await startDaemon();
    const process = await KINDS[kind](test, ['sleep']);
    await process.started;
    await end(test);
    // Nobody hears one that is on its way to a daemon that is killed; who has seen that tries again.
    process.signal(15);
    await test.crashAndRestart();
    process.signal(15);
    expect(await process.exited).toMatchObject({ reason: 'signal', exitCode: 143 });
  });
});

it('a foreground workload that ends while there is no daemon is told of by the next one', async () => {
  const test = await startDaemon();
  const { spec } = await test.create({
    command: ['sh', '-c', 'echo one; sleep 0.3; echo two; exit 7'],
    attached: true,
  });
  const process = await test.client.attach(spec.name);
  const said = collect(process);
  await eventually(() => said.text().toString() === 'one\n');
  await test.daemon.close();
  await new Promise((resolve) => setTimeout(resolve, 400));
  await test.crashAndRestart();
  expect(await process.exited).toMatchObject({ reason: 'exit', exitCode: 7 });
  await eventually(said.ended);
  expect(said.text().toString()).toBe('one\ntwo\n');
});

it('a client that a kill has cost output is told how much, and what it ran is ended', async () => {
  const test = await startDaemon();
  await test.create({ name: 'web', command: ['sleep'] });
  await untilState(test, 'web', 'running');
  const process = await test.client.exec('web', { command: ['yes'] });
  // It reads nothing, so much is under way.
  await process.started;
  await eventually(() => process.stdout.readableLength > 0);
  await test.crashAndRestart();
  process.stdout.resume();
  process.stderr.resume();
  await expect(process.exited).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringMatching(/^the daemon was killed, and \d+ bytes of the output that were under way are lost$/),
  });
  const guest = await test.daemon.supervisor.get('web').guest();
  await eventually(() => guest.sessions().length === 0);
});
