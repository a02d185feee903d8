import { describe, expect, it } from 'vitest';
import { checkNames, hostsFile, type Named } from './network-names.ts';

const named = (name: string, tenant: string | null = null, hostname = name, address: string | null = '10.213.0.2') =>
  ({ spec: { name, hostname, tenant }, address }) satisfies Named;

describe('checkNames', () => {
  const others = [named('web', null, 'shop.example'), named('db', 'acme'), named('alone', null, 'alone', null)];
  const check = (name: string, hostname = name, tenant: string | null = null) =>
    checkNames({ name, hostname, tenant }, others, 'Box.example.net');

  it.each([
    ['api', 'web', 'hostname'],
    ['api', 'WEB', 'hostname'],
    ['api', 'shop.example', 'hostname'],
    ['web', 'web-2', null],
    ['api', 'localhost', 'hostname'],
    ['api', 'x.localhost', 'hostname'],
    ['api', 'ip6-loopback', 'hostname'],
    ['localhost', 'api', 'name'],
    ['api', '10.213.0.9', 'hostname'],
    ['api', '0x7f.1', 'hostname'],
    ['api', '2130706433', 'hostname'],
    ['api', 'box', 'hostname'],
    ['api', 'box.example.net', 'hostname'],
    ['box', 'box', null],
    ['api', 'alone', null],
    ['api', 'db', null],
    ['api', 'api', null],
  ])('%s with the host name %s', (name, hostname, field) => {
    if (field === null) expect(() => check(name, hostname)).not.toThrow();
    else
      expect(() => check(name, hostname)).toThrow(
        expect.objectContaining({ code: 'conflict', field, hint: expect.any(String) }),
      );
  });

  it('keeps a name from one of the same tenant that has it as its host name', () => {
    expect(() => check('api', 'db', 'acme')).toThrow(/instance db/);
    expect(() => checkNames({ name: 'shop', hostname: 'x', tenant: null }, [named('a', null, 'shop')], 'm')).toThrow(
      expect.objectContaining({ code: 'conflict', field: 'name' }),
    );
  });
});

it('tells a tenant the names of its own instances', () => {
  const members = [named('web'), named('db', 'acme', 'db.acme'), named('alone', 'acme', 'alone', null)];
  expect(hostsFile(members, null)).toBe('127.0.0.1 localhost\n10.213.0.2 web\n');
  expect(hostsFile(members, 'acme')).toBe('127.0.0.1 localhost\n10.213.0.2 db db.acme\n');
  expect(hostsFile(members, 'other')).toBe('127.0.0.1 localhost\n');
});
