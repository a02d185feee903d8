import { expect, it } from 'vitest';
import { withFreePorts } from './free-port.ts';

const port = (hostAddress: string, hostPort: number, protocol: 'tcp' | 'udp' = 'tcp') => ({
  hostAddress,
  hostPort,
  guestPort: 80,
  protocol,
});

it('chooses a port for each that may be any, and leaves the others', async () => {
  const asked = [port('127.0.0.1', 0), port('127.0.0.1', 0, 'udp'), port('127.0.0.1', 8080), port('127.0.0.1', 0)];
  const chosen = await withFreePorts(asked, []);
  expect(chosen.map(({ hostPort }) => hostPort === 0)).toEqual([false, false, false, false]);
  expect(chosen[2]).toEqual(asked[2]);
  expect(chosen[0]!.hostPort).not.toBe(chosen[3]!.hostPort);
});

it('gives nobody what another was promised', async () => {
  // Half of those that Linux gives, which are all odd or all even.
  const taken = Array.from({ length: 65_535 }, (_, index) => port('0.0.0.0', index + 1)).filter(
    ({ hostPort }) => hostPort % 4 < 2,
  );
  const [chosen] = await withFreePorts([port('127.0.0.1', 0)], taken);
  expect(chosen!.hostPort % 4).toBeGreaterThan(1);
});

it('says that an address is not of this machine', async () => {
  for (const protocol of ['tcp', 'udp'] as const)
    await expect(withFreePorts([port('192.0.2.1', 0, protocol)], [])).rejects.toMatchObject({
      code: 'unavailable',
      message: /no port of 192\.0\.2\.1 can be chosen/,
    });
});
