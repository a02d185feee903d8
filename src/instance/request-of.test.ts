import { expect, it } from 'vitest';
import { Drivers } from '../driver/drivers.ts';
import { FakeDriver } from '../driver/fake/driver.ts';
import { requestOf } from './request-of.ts';
import { resolveSpec } from './resolve.ts';
import type { CreateRequest } from './schema.ts';

const requests: CreateRequest[] = [
  { command: ['true'] },
  {
    command: ['sh', '-c', 'x'],
    env: { A: 'b', PATH: '/opt/bin' },
    cwd: '/srv',
    cwdOptional: true,
    merged: true,
    user: '7:8',
    hostname: 'other',
    image: 'fake',
    cpus: 2,
    memoryBytes: 512 * 2 ** 20,
    elastic: { cpus: { min: 1, max: 4 } },
    volumes: [{ source: '/a', target: '/b' }],
    restart: 'always',
    network: 'private',
    publish: [{ hostPort: 8080, guestPort: 80 }],
    labels: { tier: 'front' },
    tenant: 'acme',
    healthCommand: 'true',
    tty: true,
  },
  {
    command: ['true'],
    partition: {
      cpus: { kind: 'count', count: 2, numa: null, smt: 'any', cache: 'any', near: null },
      memory: { kind: 'size', bytes: 2 ** 28, node: null, hugePageBytes: null },
      devices: [],
    },
  },
];

it.each(requests)('makes what is there of it again: %#', async (request) => {
  const facts = await new Drivers([new FakeDriver()]).hostFacts('fake', undefined);
  const spec = resolveSpec({ ...request, driver: 'fake' }, 'web', facts);
  const again = resolveSpec(requestOf(spec), 'web', facts);
  expect({ ...again, driverReason: spec.driverReason }).toEqual(spec);
});
