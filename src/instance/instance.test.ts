import { expect, it } from 'vitest';
import { systemClock } from '../sys/clock.ts';
import type { InstanceEnvironment } from './environment.ts';
import { Instance } from './instance.ts';
import { CREATED } from './machine.ts';
import type { InstanceRecord } from './record.ts';

// What was handed out, and what was saved, is what it was then.
it('replaces its record and changes none', async () => {
  const record = Object.freeze({
    spec: { name: 'web', stopGraceMs: 0 },
    machine: { ...CREATED, state: 'backoff' },
    restartAt: '2026-01-01T00:00:00.000Z',
  }) as InstanceRecord;
  const environment: Pick<InstanceEnvironment, 'clock'> = { clock: { ...systemClock, after: () => () => {} } };
  const instance = new Instance(record, environment as InstanceEnvironment);
  await instance.adopt(() => {});
  expect(instance.record.restartAt).not.toBe(record.restartAt);
  await instance.detach();
});

it.each(['pause', 'resume'] as const)('refuses to %s one that is being removed', async (verb) => {
  const record = { spec: { name: 'web' }, machine: { ...CREATED, state: 'exited' } } as InstanceRecord;
  const driver = { capabilities: () => ({ pause: true }) } as unknown as InstanceEnvironment['driver'];
  const instance = new Instance(record, { clock: systemClock, driver } as InstanceEnvironment);
  await expect(instance[verb]()).rejects.toMatchObject({ code: 'conflict' });
  await instance.detach();
  await expect(instance[verb]()).rejects.toMatchObject({ code: 'conflict' });
});
