import { expect, it } from 'vitest';
import { eventLine } from './events.ts';

/** What the capabilities tell of. */
const TYPES = [
  'created',
  'starting',
  'ready',
  'paused',
  'resumed',
  'stopping',
  'exited',
  'restarting',
  'removed',
  'crashed',
  'adopted',
  'network-lost',
  'unmapped',
  'channel-created',
  'channel-removed',
  'channel-attached',
  'channel-detached',
  'channel-closed',
  'channel-error',
  'service-created',
  'service-changed',
  'service-removed',
  'service-restarted',
  'target-up',
  'target-down',
  'slo-lost',
  'slo-regained',
];

it('begins the name in the same column whatever happened', () => {
  const event = { sequence: 1, at: '2026-11-27T12:00:00.000Z', name: 'WEB', id: 'x', message: 'it is so' };
  const lines = TYPES.map((type) => eventLine({ ...event, type }));
  expect(new Set(lines.map((line) => line.indexOf('WEB'))).size).toBe(1);
  expect(lines[0]).toBe('2026-11-27T12:00:00.000Z  created            WEB  it is so\n');
  expect(eventLine({ ...event, type: 'ready', message: '' })).toBe(
    '2026-11-27T12:00:00.000Z  ready              WEB\n',
  );
});
