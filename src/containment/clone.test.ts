import { expect, it } from 'vitest';
import type { InstanceSpec } from '../instance/contract.ts';
import { checkCreateRequest } from '../instance/contract.ts';
import { cloneOf } from './clone.ts';

const SPEC = {
  ...{
    name: 'db',
    command: ['serve'],
    env: { SECRET: 'x' },
    cwd: '/',
    cwdOptional: false,
    user: '5:5',
    autoRemove: true,
  },
  ...{ driver: 'uml', driverReason: '', cpus: 2, memoryBytes: 2 ** 27, elastic: null, root: 'host', attached: false },
  volumes: [{ source: '/srv/data', target: '/data', readOnly: false, maySetId: true }],
  ...{
    tty: true,
    rows: 24,
    columns: 80,
    partition: {},
    stack: 'shop',
    tenant: 'acme',
    network: 'egress',
    hostname: 'db',
  },
  publish: [{ hostAddress: '127.0.0.1', hostPort: 80, guestPort: 80, protocol: 'tcp' }],
  channels: [{ name: 'orders', side: 'recv' }],
  ...{
    image: 'debian:uml',
    restart: 'always',
    labels: { team: 'a' },
    readyTimeoutMs: 1,
    stopGraceMs: 2,
    append: null,
    initrd: null,
    cold: false,
  },
  ...{ healthCommand: null, healthIntervalMs: 1000, healthTimeoutMs: 1, healthRetries: 1, healthStartPeriodMs: 0 },
} as unknown as InstanceSpec;

it('a clone touches nothing of the original: what both could write, reach or own, it does not have, and says so', () => {
  const { request, notes } = cloneOf(SPEC, { trial: 'abc', index: 1, network: false });
  expect(checkCreateRequest(request)).toMatchObject({
    ...{ name: 'trial-abc-1-db', command: ['serve'], env: { SECRET: 'x' }, user: '5:5', cpus: 2, memoryBytes: 2 ** 27 },
    ...{ driver: 'uml', image: 'debian:uml', restart: 'no', network: 'none', tenant: 'trial-abc', start: false },
    volumes: [{ source: '/srv/data', target: '/data', readOnly: true }],
    labels: { team: 'a', 'polykernel.trial': 'abc' },
  });
  for (const absent of ['publish', 'channels', 'partition', 'attached', 'elastic', 'healthCommand'])
    expect(request).not.toHaveProperty(absent);
  expect(notes).toEqual([
    'db: its clone may only read /data',
    'db: its clone has no channels',
    'db: no ports lead to its clone',
    'db: its clone has no network',
    'db: its clone owns no CPUs and runs on those of the host',
  ]);
});

it('clones that need a network meet nobody but each other', () => {
  const { request } = cloneOf({ ...SPEC, name: `a${'b'.repeat(62)}` }, { trial: 'abc', index: 0, network: true });
  expect(request).toMatchObject({ network: 'private', tenant: 'trial-abc' });
  expect(checkCreateRequest(request).name).toHaveLength(63);
});
