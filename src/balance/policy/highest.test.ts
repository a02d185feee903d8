/** The highest of a sliding span, against looking at all of it. */
import { expect, it } from 'vitest';
import { HighestOf } from './highest.ts';
import { random } from './random.ts';

it.each([0.5, 5, 60])('is that of the last %s s, whatever comes, and of what came since a reset alone', (seconds) => {
  const chance = random(seconds);
  const highest = new HighestOf(seconds);
  let seen: [at: number, value: number][] = [];
  for (let at = 0; at < 200; at += 0.25 + chance()) {
    if (chance() < 0.02) {
      highest.reset();
      seen = [];
    }
    const value = Math.floor(20 * chance());
    seen.push([at, value]);
    const span = seen.filter(([time]) => time > at - seconds);
    expect(highest.add(at, value)).toBe(Math.max(...span.map(([, each]) => each)));
  }
});
