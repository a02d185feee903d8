import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nameservers, resolvConf } from './nameservers.ts';
import { freePair, gatewaysOf, metadataResolvers } from './uplink.ts';

describe('the addresses of a way out', () => {
  it('are two neighbours that no route of the host covers', () => {
    expect(freePair(['192.0.2.0/24', '127.0.0.1'], 0)).toEqual({ outside: '10.214.0.1', inside: '10.214.0.2' });
    expect(freePair(['10.214.0.3'], 0)).toEqual({ outside: '10.214.0.5', inside: '10.214.0.6' });
    expect(freePair(['10.214.255.252/30'], 16_383)).toEqual({ outside: '10.214.0.1', inside: '10.214.0.2' });
    expect(freePair(['10.0.0.0/8'], 1)).toEqual({ outside: '172.30.0.5', inside: '172.30.0.6' });
  });

  it('differ between daemons', () => {
    expect(freePair([], 0xdeadbeef)).not.toEqual(freePair([], 0xdeadbeee));
  });

  it('are refused where all are taken', () => {
    const all = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];
    expect(() => freePair(all, 7)).toThrow(/no address is free for the way out/);
    expect(() => freePair(['0.0.0.0/1', '128.0.0.0/1'], 7)).toThrow(/no address is free/);
  });
});

describe('the name servers of the host', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'pk-resolv-'));
    for (const directory of ['etc', 'run/systemd/resolve']) mkdirSync(join(root, directory), { recursive: true });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const say = (file: string, ...lines: string[]) => writeFileSync(join(root, file), lines.join('\n'));

  it('are those that can be reached from elsewhere', () => {
    say(
      'etc/resolv.conf',
      '# x',
      'search a.example',
      'nameserver 127.0.0.1',
      'nameserver 192.0.2.53',
      'nameserver ::1',
    );
    expect(resolvConf(root)).toBe('nameserver 192.0.2.53\n');
  });

  it('are looked for behind systemd-resolved', () => {
    say('etc/resolv.conf', 'nameserver 127.0.0.53');
    say('run/systemd/resolve/resolv.conf', 'nameserver 192.0.2.1', 'nameserver 192.0.2.2');
    expect(nameservers(root)).toEqual(['192.0.2.1', '192.0.2.2']);
  });

  it('may be none', () => {
    expect(nameservers(root)).toEqual([]);
    expect(resolvConf(join(root, 'nowhere'))).toBe('');
  });
});

it('opens an address of metadata for names only where the host asks it for names', () => {
  expect(
    metadataResolvers(['192.0.2.1', '168.63.129.16', '169.254.169.254', '168.63.129.17', '168.63.129.16']),
  ).toEqual(['168.63.129.16', '169.254.169.254']);
});

it('gateways are those of all routes, each once', () => {
  const routes = [
    { dst: 'default', gateway: '192.0.2.1' },
    { dst: '198.51.100.0/24', nexthops: [{ gateway: '192.0.2.9' }, {}, { gateway: '192.0.2.1' }] },
    { dst: '192.0.2.0/24' },
  ];
  expect(gatewaysOf(routes)).toEqual(['192.0.2.1', '192.0.2.9']);
});
