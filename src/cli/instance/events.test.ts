import { expect, it } from 'vitest';
import { beginning, eventLine } from './events.ts';

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

it('tells of each in one line, whatever a guest has said of it', () => {
  const event = { sequence: 1, at: '2026-11-27T12:00:00.000Z', type: 'exited', name: 'web', id: 'x' };
  const message = 'said a\n2026-11-27T12:00:00.000Z  removed            db\tnow';
  expect(eventLine({ ...event, message })).toBe(
    '2026-11-27T12:00:00.000Z  exited             web  said a 2026-11-27T12:00:00.000Z  removed            db now\n',
  );
});

it('begins after a number, or since a time', () => {
  const now = Date.parse('2026-11-28T10:00:00Z');
  const wanted = (text: string | undefined) => {
    const { query, isWanted } = beginning(text, now);
    return [
      query,
      ['09:58:59', '09:59:00', '09:59:30'].filter((at) => isWanted({ at: `2026-11-28T${at}.000Z` })).length,
    ];
  };
  expect(wanted(undefined)).toEqual([{}, 3]);
  expect(wanted('7')).toEqual([{ since: 7 }, 3]);
  expect(wanted('1m')).toEqual([{ since: 0 }, 2]);
  expect(wanted('2026-11-28T09:59:30Z')).toEqual([{ since: 0 }, 1]);
  expect(() => wanted('yesterday')).toThrow(expect.objectContaining({ hint: expect.stringContaining('10m') }));
});
