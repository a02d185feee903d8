/** The daemon as a process of its own, started by clients that need it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { eventually } from '../support/harness.ts';
import { freePort } from '../support/http.ts';

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pk-unit-'));
  process.env.POLYKERNEL_FAKE = '1';
});
afterEach(async () => {
  const client = await connect({ home, start: false }).catch(() => undefined);
  if (client !== undefined) {
    for (const { spec } of await client.list()) await client.remove(spec.name, { force: true });
    const { pid } = await client.version();
    await client.shutdown();
    await eventually(() => !isAlive(pid));
  }
  delete process.env.POLYKERNEL_FAKE;
  rmSync(home, { recursive: true, force: true });
});

it('starts when needed, once for clients that race, and again after SIGKILL with the same instances', async () => {
  await expect(connect({ home, start: false })).rejects.toMatchObject({ code: 'unavailable' });
  const clients = await Promise.all(Array.from({ length: 6 }, () => connect({ home })));
  const pids = new Set(await Promise.all(clients.map(async (client) => (await client.version()).pid)));
  expect(pids.size).toBe(1);
  const [pid] = pids as Set<number> & [number];
  const first = [...pids][0] ?? pid;
  const client = clients[0]!;
  await client.create({ name: 'web', command: ['sleep'], driver: 'fake' });
  const before = await eventually(async () => {
    const status = await client.inspect('web');
    return status.state === 'running' && status;
  });
  process.kill(first, 'SIGKILL');
  await eventually(() => !isAlive(first));
  const again = await connect({ home });
  expect((await again.version()).pid).not.toBe(first);
  expect(await again.inspect('web')).toMatchObject({ state: 'running', bootId: before.bootId });
  expect(readFileSync(join(home, 'daemon.log'), 'utf8')).toContain('"serving"');
});

// Others have services only in a network of their own, which the fake driver has not.
it.skipIf(process.getuid?.() !== 0)('starts again where nothing but a service is there to be taken up', async () => {
  const client = await connect({ home });
  const port = await freePort();
  await client.createService({ name: 'api', port, targets: [{ instance: 'nobody', port: 80 }] });
  const { pid } = await client.version();
  await client.shutdown();
  await eventually(() => !isAlive(pid));
  const again = await connect({ home });
  expect((await again.services()).map(({ name }) => name)).toEqual(['api']);
  await again.removeService('api');
});

it('tells why a daemon cannot start', async () => {
  const { writeFileSync } = await import('node:fs');
  writeFileSync(join(home, 'state.db'), 'x'.repeat(8192));
  await expect(connect({ home })).rejects.toMatchObject({
    code: 'internal',
    hint: expect.stringContaining('--reset-state'),
  });
});

function isAlive(pid: number): boolean {
  try {
    // A zombie of ours is gone as well: its parent is this process.
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}
