import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressProblem, canonicalAddress, meets, parsePublished, portsText } from './published-port.ts';

const port = (hostAddress: string, hostPort: number, guestPort = 80, protocol: 'tcp' | 'udp' = 'tcp') => ({
  hostAddress,
  hostPort,
  guestPort,
  protocol,
});

describe('parsePublished', () => {
  it.each([
    ['8080:80', { hostPort: 8080, guestPort: 80 }],
    ['8080:80/tcp', { hostPort: 8080, guestPort: 80 }],
    ['8053:53/UDP', { hostPort: 8053, guestPort: 53, protocol: 'udp' }],
    ['80', { hostPort: 0, guestPort: 80 }],
    ['53/udp', { hostPort: 0, guestPort: 53, protocol: 'udp' }],
    ['0:80', { hostPort: 0, guestPort: 80 }],
    [':80', { hostPort: 0, guestPort: 80 }],
    ['0.0.0.0:8080:80', { hostAddress: '0.0.0.0', hostPort: 8080, guestPort: 80 }],
    ['127.0.0.1::80', { hostAddress: '127.0.0.1', hostPort: 0, guestPort: 80 }],
    ['[::1]:8080:80', { hostAddress: '::1', hostPort: 8080, guestPort: 80 }],
    ['[::]::53/udp', { hostAddress: '::', hostPort: 0, guestPort: 53, protocol: 'udp' }],
  ])('reads %s', (text, expected) => expect(parsePublished(text)).toEqual({ ports: [expected] }));

  it('reads ranges, each port with its own', () => {
    expect(parsePublished('[::1]:8000-8002:90-92/udp')).toEqual({
      ports: [0, 1, 2].map((at) => ({ hostAddress: '::1', hostPort: 8000 + at, guestPort: 90 + at, protocol: 'udp' })),
    });
    expect(parsePublished('90-91')).toEqual({ ports: [90, 91].map((guestPort) => ({ hostPort: 0, guestPort })) });
  });

  it.each([
    ['80:http', '"http" is no port, nor a range of them such as 8000-8010'],
    ['', '"" is no port, nor a range of them such as 8000-8010'],
    ['80:70000', 'there is no port 70000: the last is 65535'],
    ['80:0', '0 is no port of a kernel: it is for a free one of this machine'],
    ['8000-8010:80-89', '8000-8010 and 80-89 are not as many: 11 and 10'],
    ['8000-8010:80', '8000-8010 and 80 are not as many: 11 and 1'],
    ['8010-8000:80-90', '8010-8000 ends before it begins'],
    ['0-10:80-90', '0-10 begins with 0, which is for one that is free'],
    ['1000-1064:1000-1064', '1000-1064 are 65 ports, and there can be 64'],
    ['8080:80/sctp', '"sctp" is no protocol that can be published: tcp or udp'],
    ['::1:8080:80', 'an IPv6 address is written in brackets: [::1]:8080:80'],
    ['[::1]:80', '"[::1]:80" is not [ADDRESS]:HOST:GUEST'],
    ['[::1:8080:80', '"[::1:8080:80" is not [ADDRESS]:HOST:GUEST'],
    ['[127.0.0.1]:8080:80', '"127.0.0.1" is no IP address'],
    ['[fe80::1%eth0]:8080:80', '"fe80::1%eth0" names an interface, which cannot be published on'],
    ['[::ffff:127.0.0.1]:8080:80', '"::ffff:127.0.0.1" is an IPv4 address: give that'],
    ['localhost:8080:80', '"localhost" is no IP address'],
    ['300.1.1.1:8080:80', '"300.1.1.1" is no IP address'],
    ['127.0.0.1:80', '"127.0.0.1:80" names no port of 127.0.0.1: 127.0.0.1:8080:80, or 127.0.0.1::80'],
  ])('says of %s: %s', (text, reason) => expect(parsePublished(text)).toEqual({ reason }));

  it('says something of anything', () => {
    const piece = fc.constantFrom('8080', '0', ':', '-', '/', 'udp', '[', ']', '::1', '1.2.3.4', '70000', ' ', 'x');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const parsed = parsePublished(pieces.join(''));
        if ('reason' in parsed) {
          expect(parsed.reason).not.toBe('');
          return;
        }
        for (const { hostPort, guestPort, hostAddress } of parsed.ports) {
          expect(hostPort).toBeLessThanOrEqual(65_535);
          expect(guestPort).toBeGreaterThan(0);
          if (hostAddress !== undefined) expect(addressProblem(hostAddress)).toBeUndefined();
        }
      }),
    );
  });
});

it('knows which cannot be listened on at once', () => {
  const here = port('127.0.0.1', 80);
  expect(meets(here, port('127.0.0.1', 80, 81))).toBe(true);
  expect(meets(here, port('0.0.0.0', 80))).toBe(true);
  for (const other of [port('127.0.0.1', 81), port('::', 80), port('127.0.0.1', 80, 80, 'udp'), port('127.0.0.2', 80)])
    expect(meets(here, other)).toBe(false);
  expect(meets(port('::', 53, 53, 'udp'), port('::1', 53, 53, 'udp'))).toBe(true);
  expect(meets(port('::1', 0), port('::1', 0))).toBe(false);
});

it('writes IPv6 addresses in one way', () => {
  expect(canonicalAddress('0:0:0:0:0:0:0:1')).toBe('::1');
  expect(canonicalAddress('FD00::0:1')).toBe('fd00::1');
  expect(canonicalAddress('127.0.0.1')).toBe('127.0.0.1');
});

it('shows neighbours as a range', () => {
  const ports = [port('::1', 8000, 80), port('::1', 8001, 81), port('::1', 8003, 83), port('::1', 8004, 84, 'udp')];
  expect(portsText(ports)).toBe('[::1]:8000-8001->80-81/tcp, [::1]:8003->83/tcp, [::1]:8004->84/udp');
  expect(portsText([])).toBe('');
});
