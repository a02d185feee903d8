import { expect, it } from 'vitest';
import { leadingTo } from './port.ts';

const PORTS = [
  { hostAddress: '127.0.0.1', hostPort: 8080, guestPort: 80, protocol: 'tcp' },
  { hostAddress: '::1', hostPort: 8080, guestPort: 80, protocol: 'tcp' },
  { hostAddress: '::1', hostPort: 8053, guestPort: 80, protocol: 'udp' },
] as const;

it('finds where a port of the kernel is reached', () => {
  expect(leadingTo('80', PORTS, 'web')).toEqual(PORTS.slice(0, 2));
  expect(leadingTo('80/UDP', PORTS, 'web')).toEqual(PORTS.slice(2));
  expect(() => leadingTo('http', PORTS, 'web')).toThrow('"http" is no port');
  expect(() => leadingTo('81', PORTS, 'web')).toThrow('no port of this machine leads to 81/tcp of web');
});
