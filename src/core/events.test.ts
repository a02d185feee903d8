import { expect, it } from 'vitest';
import { EventLog } from './events.ts';

function eventLog() {
  let sequence = 0;
  const log = new EventLog(() => ++sequence);
  return { log, tell: (id: string, message = '') => log.tell({ at: '', type: 'health-lost', name: id, id, message }) };
}

it('what happens to one without end takes no place of what happened to others', () => {
  const { log, tell } = eventLog();
  for (const message of ['ready', 'crashed']) tell('db', message);
  for (let count = 0; count < 5_000; count++) tell(`noisy-${count % 17}`);
  const kept = log.since(0);
  expect(kept).toHaveLength(1024);
  expect(kept.filter(({ id }) => id === 'db').map(({ message }) => message)).toEqual(['ready', 'crashed']);
  expect(kept.at(-1)!.sequence).toBe(5_002);
  expect(kept.map(({ sequence }) => sequence)).toEqual(kept.map(({ sequence }) => sequence).sort((a, b) => a - b));
});

it('of many that are gone the oldest go first, and no more than those of who is there', () => {
  const { log, tell } = eventLog();
  for (let kernel = 0; kernel < 2_000; kernel++) for (let count = 0; count < 6; count++) tell(`kernel-${kernel}`);
  const kept = log.since(0);
  expect(kept).toHaveLength(1024);
  for (let kernel = 1_900; kernel < 2_000; kernel++)
    expect(kept.filter(({ id }) => id === `kernel-${kernel}`)).toHaveLength(6);
});

it('of each the newest are kept', () => {
  const { log, tell } = eventLog();
  for (let count = 0; count < 3_000; count++) tell('one');
  expect(log.since(0).map(({ sequence }) => sequence)).toEqual(Array.from({ length: 1024 }, (_, at) => 1_977 + at));
  for (let count = 0; count < 3_000; count++) tell(count % 2 === 0 ? 'one' : 'other');
  expect(log.since(0).filter(({ id }) => id === 'other')).toHaveLength(512);
});
