/** The packages' own names: what other programs import. */
import { connect, PolykernelError } from 'polykernel/client';
import { expect, it } from 'vitest';
import { startDaemon } from '../support/harness.ts';

it('`polykernel/client` runs a command and reads what it said, as docs/api.md shows', async () => {
  const test = await startDaemon();
  const client = await connect({ home: test.home, start: false });
  const { spec } = await client.create({ driver: 'fake', command: ['echo', 'hello'] });
  const { state, exit } = await client.wait(spec.name);
  expect([state, exit?.exitCode]).toEqual(['exited', 0]);
  const said: string[] = [];
  for await (const { d } of client.logs(spec.name)) said.push(d ?? '');
  expect(said.join('')).toBe('hello\n');
  await client.remove(spec.name);
  expect(await client.list()).toEqual([]);
});

it('what goes wrong rejects with an error that has a code and a hint', async () => {
  const test = await startDaemon();
  const client = await connect({ home: test.home, start: false });
  const error = await client.inspect('nothing').catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(PolykernelError);
  expect((error as PolykernelError).code).toBe('not-found');
});
