import { expect, it } from 'vitest';
import { Turns } from './turns.ts';

it('lets as many at a time as it may, the others in order, and none that is no longer wanted', async () => {
  const turns = new Turns(2);
  const events: string[] = [];
  const ends: (() => void)[] = [];
  const begin = (name: string, signal?: AbortSignal) =>
    turns.run(
      () => {
        events.push(name);
        return new Promise<void>((resolve) => ends.push(resolve));
      },
      () => events.push(`${name} waits`),
      signal,
    );
  const stop = new AbortController();
  const [one, two, three, four] = [begin('one'), begin('two'), begin('three', stop.signal), begin('four')];
  stop.abort(new Error('no longer wanted'));
  await expect(three).rejects.toThrow('no longer wanted');
  expect(events).toEqual(['one', 'two', 'three waits', 'four waits']);
  ends[1]!();
  await two;
  await Promise.resolve();
  expect(events.at(-1)).toBe('four');
  ends[0]!();
  ends[2]!();
  await Promise.all([one, four]);
  const failing = turns.run(
    () => Promise.reject(new Error('failed')),
    () => events.push('never'),
  );
  await expect(failing).rejects.toThrow('failed');
  await Promise.all(
    [1, 2].map(() =>
      turns.run(
        async () => {},
        () => events.push('never'),
      ),
    ),
  );
  expect(events).not.toContain('never');
});
