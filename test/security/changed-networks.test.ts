/** What a stack file asks for no more, nobody keeps: networks, published ports, and users that a caller has no ids for. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Forwards } from '../../src/network/forwards.ts';
import { startDaemon, untilState } from '../support/harness.ts';
import { freePort } from '../support/http.ts';

const stack = (...lines: string[]) => ({
  text: ['kernels:', ...lines].join('\n'),
  ...{ file: 'test.yaml', directory: '/tmp', defaultName: 'shop' },
});
const kernel = (name: string, options = '') => `  ${name}: {driver: fake, command: [sleep, inf]${options}}`;

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

it('a kernel that is changed has the network and the ports that it is to have, and no others', async () => {
  const test = await startDaemon();
  const { client, daemon } = test;
  const port = await freePort();
  const apply = async (...lines: string[]) => {
    await client.apply(stack(...lines));
    for (const { name } of daemon.supervisor.list()) await untilState(test, name, 'running');
    const { networkNumber, spec } = daemon.supervisor.get('a').record;
    return { hasAddress: networkNumber !== null, ports: spec.publish.map(({ hostPort }) => hostPort) };
  };
  expect(await apply(kernel('a', `, publish: ["${port}:80"]`))).toEqual({ hasAddress: true, ports: [port] });
  await expect.poll(() => isOpen(port)).toBe(true);
  expect(await apply(kernel('a', ', network: private'))).toEqual({ hasAddress: true, ports: [] });
  await expect.poll(() => isOpen(port)).toBe(false);
  expect(await apply(kernel('a'))).toEqual({ hasAddress: false, ports: [] });
  // A port goes from one to another, and each time to who is to have it.
  await apply(kernel('a', `, publish: ["${port}:80"]`), kernel('b'));
  await apply(kernel('a'), kernel('b', `, publish: ["${port}:80"]`));
  await expect.poll(() => isOpen(port)).toBe(true);
  await client.destroy('shop');
  await expect.poll(() => isOpen(port)).toBe(false);
});

it('a port that may be any is chosen for a kernel that is changed, and stays', async () => {
  const test = await startDaemon();
  const ports = async (options: string) => {
    await test.client.apply(stack(kernel('a', options)));
    return test.daemon.supervisor.get('a').record.spec.publish.map(({ hostPort }) => hostPort);
  };
  expect(await ports('')).toEqual([]);
  const [first] = await ports(', publish: ["80"]');
  expect(first).toBeGreaterThan(0);
  const [other, same] = await ports(', publish: ["81", "80"]');
  expect(same).toBe(first);
  expect([0, first]).not.toContain(other);
  await test.client.destroy('shop');
});

it('what is refused to a new kernel of a user without ids is refused to one that is changed', async () => {
  const test = await startDaemon();
  const { client, daemon } = test;
  expect(daemon.supervisor.list()).toEqual([]);
  await client.apply(stack(kernel('a')));
  const { record } = daemon.supervisor.get('a');
  for (const options of [', user: "1000", volumes: ["/tmp:/data"]', ', volumes: ["/tmp:/data:suid"]']) {
    await expect(client.apply(stack(kernel('a', options)))).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:unsupported|permission)$/),
    });
    expect(daemon.supervisor.get('a').record.spec).toEqual(record.spec);
  }
});

it('a published port that leads elsewhere, since a daemon ended amid a change, is not taken for one that is there', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pk-forwards-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const forwards = new Forwards(directory);
  const port = { hostAddress: '127.0.0.1', hostPort: await freePort(), guestPort: 80, protocol: 'tcp' } as const;
  await forwards.start(port, [port], '/proc/self/ns/net', '127.0.0.9');
  onTestFinished(() => forwards.end(port));
  expect(forwards.lives(port, '127.0.0.9')).toBe(true);
  expect(forwards.lives(port, '127.0.0.8')).toBe(false);
  expect(forwards.lives({ ...port, guestPort: 81 }, '127.0.0.9')).toBe(false);
});
