import { expect, it } from 'vitest';
import type { InstanceEvent } from '../../instance/spec.ts';
import { eventLine } from './events.ts';

/** All there are: without one of them this does not compile. */
const TYPES: Readonly<Record<InstanceEvent['type'], true>> = {
  created: true,
  starting: true,
  ready: true,
  paused: true,
  resumed: true,
  stopping: true,
  exited: true,
  restarting: true,
  removed: true,
  crashed: true,
  adopted: true,
  'network-lost': true,
  unmapped: true,
  'channel-created': true,
  'channel-removed': true,
  'channel-attached': true,
  'channel-detached': true,
  'channel-closed': true,
  'channel-error': true,
  'service-created': true,
  'service-changed': true,
  'service-removed': true,
  'service-restarted': true,
  'target-up': true,
  'target-down': true,
  'slo-lost': true,
  'slo-regained': true,
};

it('begins the name in the same column whatever happened', () => {
  const event = { sequence: 1, at: '2026-11-27T12:00:00.000Z', name: 'WEB', id: 'x', message: 'it is so' };
  const lines = Object.keys(TYPES).map((type) => eventLine({ ...event, type: type as InstanceEvent['type'] }));
  expect(new Set(lines.map((line) => line.indexOf('WEB'))).size).toBe(1);
  expect(lines[0]).toBe('2026-11-27T12:00:00.000Z  created            WEB  it is so\n');
  expect(eventLine({ ...event, type: 'ready', message: '' })).toBe(
    '2026-11-27T12:00:00.000Z  ready              WEB\n',
  );
});
