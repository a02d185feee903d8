/** What a guest that forges frames can do in the private network: nothing to the bridge, to others of its tenant and to other tenants. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceStatus } from '../../../src/instance/contract.ts';
import { networkName } from '../../../src/network/namespace.ts';
import { arp, BROADCAST, compileFrames, frame, ipv4, LINK_LOCAL_GROUP } from '../../support/frames.ts';
import { Sandbox, until } from '../../support/pk.ts';

const GATEWAY = { mac: '02:50:0a:d5:00:01', ip: '10.213.0.1' };
const NOWHERE = { mac: '02:50:0a:d5:77:77', ip: '10.213.119.119' };
const CARDS = { uml: 'vec0', qemu: 'eth0' } as const;

describe.runIf(process.getuid?.() === 0)('the walls of the private network', () => {
  let sandbox: Sandbox;
  let shared: string;
  let namespace: string;
  const members: Record<string, { mac: string; ip: string; card: string }> = {};

  beforeAll(async () => {
    sandbox = await Sandbox.create();
    shared = mkdtempSync(join(tmpdir(), 'pk-frames-'));
    chmodSync(shared, 0o755);
    await compileFrames(join(shared, 'frames'));
    for (const [name, driver, tenant] of [
      ['alice', 'qemu', ''],
      ['uma', 'uml', ''],
      ['quentin', 'qemu', ''],
      ['other', 'uml', 'acme'],
    ] as const) {
      const options = ['--driver', driver, '--memory', '256M', '--network', 'private', '-v', `${shared}:/frames:ro`];
      const owner = tenant === '' ? [] : ['--tenant', tenant];
      await sandbox.ok('run', '-d', '--name', name, ...options, ...owner, '--', 'sleep', '100000');
      const { address, spec } = await sandbox.json<InstanceStatus>('inspect', name);
      expect(spec.tenant).toBe(tenant || null);
      const parts = address!.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
      members[name] = { ip: address!, mac: `02:50:${parts.join(':')}`, card: CARDS[driver] };
    }
    namespace = networkName(sandbox.home);
  });
  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]();
    rmSync(shared, { recursive: true });
  });

  const inside = (...argv: string[]) =>
    execFileSync('ip', ['netns', 'exec', namespace, ...argv], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const send = (from: string, ...frames: string[]) =>
    sandbox.ok('exec', from, '--', '/frames/frames', members[from]!.card, ...frames);
  const sh = async (name: string, script: string) =>
    (await sandbox.pk(['exec', name, '--', 'sh', '-c', script])).stdout;
  const forwarding = () => inside('bridge', 'fdb', 'show', 'br', 'br0').trim().split('\n').sort();

  /** What an instance hears until the end mark, which `act` sends last. */
  async function heard(name: string, act: () => unknown): Promise<string[]> {
    const child = sandbox.start('exec', name, '--', '/frames/frames', members[name]!.card, '--listen');
    let text = '';
    const listening = new Promise<void>((resolve) =>
      child.stdout!.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        if (text.includes('listening')) resolve();
      }),
    );
    const closed = once(child, 'close');
    await listening;
    await act();
    await closed;
    return text.trim().split('\n').slice(1);
  }

  for (const attacker of ['uma', 'quentin']) {
    it(`${attacker} teaches the bridge nothing`, async () => {
      const { mac } = members[attacker]!;
      const alice = members.alice!;
      const before = forwarding();
      expect(before.filter((line) => line.startsWith(alice.mac))).toEqual([expect.stringContaining('static')]);
      const forged = [alice.mac, GATEWAY.mac].flatMap((from) =>
        [0, 1, 2, 3, 0xe].map((last) => frame(`01:80:c2:00:00:0${last.toString(16)}`, from, '88cc', 'x')),
      );
      await send(
        attacker,
        ...forged,
        frame(BROADCAST, alice.mac, '0800', 'x'),
        frame(alice.mac, alice.mac, '88cc', 'x'),
      );
      await send(attacker, '--flood', '3000');
      expect(forwarding()).toEqual(before);
      expect(inside('ip', '-o', 'link', 'show', 'master', 'br0').trim().split('\n')).toHaveLength(4);
      expect(await sh('alice', `busybox ping -c 1 -W 5 ${GATEWAY.ip} >/dev/null && echo yes`)).toBe('yes\n');
      // Of its own it may send to a group of bridges as well: it is dropped.
      expect(
        await heard('alice', () => send(attacker, frame(LINK_LOCAL_GROUP, mac, '88cc', 'group'), end(attacker))),
      ).toEqual(['mark:end']);
    });

    it(`${attacker} sends no frame but with its own addresses, to one receiver, or as ARP`, async () => {
      const { mac, ip } = members[attacker]!;
      const alice = members.alice!;
      const own = { mac, ip };
      const forged = [
        ipv4(alice.mac, mac, alice.ip, NOWHERE.ip, 'source'),
        ipv4(alice.mac, NOWHERE.mac, alice.ip, ip, 'mac'),
        ipv4(BROADCAST, mac, '10.213.255.255', ip, 'broadcast'),
        ipv4('01:00:5e:00:00:fb', mac, '224.0.0.251', ip, 'multicast'),
        ipv4(NOWHERE.mac, mac, NOWHERE.ip, ip, 'unknown'),
        ipv4(alice.mac, mac, alice.ip, ip, 'vlan', '81000001'),
        ipv4(alice.mac, mac, alice.ip, ip, 'provider', '88a80001'),
        frame(alice.mac, mac, '86dd', 'ipv6', '6000000000301140'.padEnd(80, '0')),
        frame(alice.mac, mac, '88b5', 'experimental'),
        arp(BROADCAST, mac, 2, { mac, ip: alice.ip }, ip, 'arp-ip'),
        arp(BROADCAST, mac, 2, { mac: alice.mac, ip }, ip, 'arp-hardware'),
        arp(alice.mac, mac, 2, { mac, ip: GATEWAY.ip }, alice.ip, 'arp-gateway'),
        arp(alice.mac, GATEWAY.mac, 2, own, alice.ip, 'arp-mac'),
        arp('01:00:5e:00:00:fb', mac, 1, own, alice.ip, 'arp-group'),
        arp(BROADCAST, mac, 8, own, alice.ip, 'arp-inverse'),
      ];
      const proper = [
        arp(BROADCAST, mac, 1, own, alice.ip, 'arp'),
        arp(alice.mac, mac, 1, own, alice.ip, 'arp-unicast'),
        ipv4(alice.mac, mac, alice.ip, ip, 'unicast'),
      ];
      expect(await heard('alice', () => send(attacker, ...forged, ...proper, end(attacker)))).toEqual([
        ...['mark:arp', 'mark:arp-unicast', 'mark:unicast', 'mark:end'],
      ]);
    });
  }

  /** A proper frame to alice, the last of a test. */
  const end = (from: string) =>
    ipv4(members.alice!.mac, members[from]!.mac, members.alice!.ip, members[from]!.ip, 'end');

  it('nothing passes to another tenant, nor by way of the gateway, nor by name', async () => {
    const other = members.other!;
    const hosts = (name: string) => sh(name, 'cat /etc/hosts');
    // As with egress.
    inside('sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward');
    for (const attacker of ['uma', 'quentin']) {
      const own = members[attacker]!;
      const marks = await heard('other', async () => {
        await send(
          attacker,
          ipv4(other.mac, own.mac, other.ip, own.ip, 'tenant'),
          ipv4(GATEWAY.mac, own.mac, other.ip, own.ip, 'detour'),
          arp(BROADCAST, own.mac, 1, own, other.ip, 'tenant-arp'),
          arp(other.mac, own.mac, 1, own, other.ip, 'tenant-arp-unicast'),
        );
        inside(join(shared, 'frames'), 'br0', ipv4(other.mac, GATEWAY.mac, other.ip, GATEWAY.ip, 'end'));
      });
      expect(marks).toEqual(['mark:end']);
      expect(await sh(attacker, `busybox ping -c 1 -W 1 ${other.ip} >/dev/null || echo no`)).toBe('no\n');
      expect(await hosts(attacker)).not.toContain('other');
    }
    expect(await hosts('other')).toBe(`127.0.0.1 localhost\n${other.ip} other\n`);
    expect(await sh('uma', `busybox ping -c 1 -W 5 alice >/dev/null && echo yes`)).toBe('yes\n');
  });

  it('no channel joins two tenants', async () => {
    const refused = await sandbox.pk(['channel', 'create', 'leak', '--from', 'alice', '--to', 'other']);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('the channel leak would join two tenants: alice (no tenant) and other (acme)');
  });

  it('a name that is another’s is refused, and a removed one is forgotten at once', async () => {
    const options = ['run', '-d', '--driver', 'uml', '--network', 'private'];
    const taken = await sandbox.pk([...options, '--hostname', 'alice', '--', 'true']);
    expect(taken).toMatchObject({
      code: 125,
      stderr: expect.stringContaining('hostname alice is that of the instance alice'),
    });
    expect(await sh('alice', 'cat /etc/hosts')).toContain('quentin');
    await sandbox.ok('rm', '-f', 'quentin');
    for (const name of ['alice', 'uma'])
      await until(`${name} is told`, async () => !(await sh(name, 'cat /etc/hosts')).includes('quentin'));
  });
});
