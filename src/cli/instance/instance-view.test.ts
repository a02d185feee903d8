import { expect, it } from 'vitest';
import type { InstanceStatus } from '../../instance/spec.ts';
import { inspectFields, listFields, statusText } from './instance-view.ts';

const NOW = Date.parse('2026-11-27T12:00:00.000Z');
const STATUS = {
  id: 'a'.repeat(32),
  state: 'running',
  createdAt: '2026-11-27T11:00:00.000Z',
  startedAt: '2026-11-27T11:30:00.000Z',
  exit: null,
  restarts: 2,
  pid: 77,
  kernelRelease: '6.12',
  address: '10.1.0.5',
  spec: {
    name: 'web',
    image: 'debian:uml',
    command: ['sh', '-c', 'x'.repeat(60)],
    labels: { team: 'shop', tier: '1' },
    publish: [{ hostAddress: '127.0.0.1', hostPort: 8080, guestPort: 80, protocol: 'tcp' }],
    volumes: [{ source: '/srv', target: '/data', readOnly: true }],
    network: 'private',
    driver: 'uml',
    cpus: 1,
    memoryBytes: 2 ** 28,
    tenant: null,
    stack: 'shop',
    restart: 'on-failure:3',
    hostname: 'web',
    user: '0',
    tty: false,
    cwd: '/',
    env: { A: '1' },
    healthCommand: null,
  },
} as unknown as InstanceStatus;

it('has docker’s names for what a list shows', () => {
  const { Label, ...fields } = listFields(STATUS, false, NOW);
  expect(fields).toMatchObject({
    ID: 'a'.repeat(12),
    Names: 'web',
    Image: 'debian:uml',
    RunningFor: '60m ago',
    Status: 'Up 30m',
    State: 'running',
    Ports: '127.0.0.1:8080->80/tcp',
    Labels: 'team=shop,tier=1',
    Mounts: '/data',
    Networks: 'private',
    PID: 77,
    Stack: 'shop',
    Tenant: '',
  });
  expect((Label as (name: string) => string)('team')).toBe('shop');
  expect((Label as (name: string) => string)('toString')).toBe('');
  expect(String(fields.Command).length).toBeLessThan(45);
  expect(listFields(STATUS, true, NOW)).toMatchObject({ ID: 'a'.repeat(32) });
  expect(String(listFields(STATUS, true, NOW).Command)).toContain('x'.repeat(60));
});

it('and for what inspect shows', () => {
  expect(inspectFields(STATUS)).toMatchObject({
    Name: 'web',
    State: { Status: 'running', Running: true, Pid: 77, ExitCode: 0 },
    Config: { Labels: { team: 'shop' }, Env: ['A=1'] },
    HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 } },
    NetworkSettings: { IPAddress: '10.1.0.5', Ports: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080' }] } },
    Mounts: [{ Source: '/srv', Destination: '/data', RW: false }],
  });
});

it.each([
  ['running', null, 'Up 30m'],
  ['paused', null, 'Up 30m (Paused)'],
  ['created', null, 'Created'],
  ['exited', 3, 'Exited (3) 10m ago'],
  ['backoff', 1, 'Restarting (1) 10m ago'],
  ['stopping', null, 'Stopping'],
] as const)('%s is %s', (state, exitCode, text) => {
  const exit =
    exitCode === null ? null : ({ reason: 'exit', exitCode, message: '', at: '2026-11-27T11:50:00.000Z' } as const);
  expect(statusText({ ...STATUS, state, exit }, NOW)).toBe(text);
});

it.each([
  [null, 'healthy', 'Up 30m'],
  [null, 'unknown', 'Up 30m'],
  [null, 'hung', 'Up 30m (hung)'],
  ['true', 'healthy', 'Up 30m (healthy)'],
  ['true', 'unknown', 'Up 30m (health: starting)'],
  ['true', 'unhealthy', 'Up 30m (unhealthy)'],
  ['true', undefined, 'Up 30m'],
] as const)('with the check %s and %s it is %s', (healthCommand, health, text) => {
  const status = { ...STATUS, spec: { ...STATUS.spec, healthCommand }, ...(health && { health }) };
  expect(statusText(status, NOW)).toBe(text);
});
