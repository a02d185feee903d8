/** When a target that has come back is found to listen. */
import { beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { Knock } from '../sys/namespace-socket.ts';
import { FirstChecks } from './first-checks.ts';

let clock: ManualClock;
let checks: FirstChecks;
/** What the port answers. */
let answer: ReturnType<Knock['look']> | undefined;
let asked: number;
let open: number;
let found: string[];

beforeEach(() => {
  clock = new ManualClock();
  [answer, asked, open, found] = ['refused', 0, 0, []];
  checks = new FirstChecks(clock, () => {
    if (answer === undefined) return undefined;
    asked += 1;
    open += 1;
    // One that is not answered stays so, whatever is the case later.
    const given = answer === 'waits' ? answer : undefined;
    const close = () => {
      open -= 1;
    };
    return { look: () => given ?? answer!, close };
  });
});

const begin = (name: string) => checks.begin(name, '10.0.0.1', 80, () => found.push(name));
const nothingIsLeft = () => expect([open, clock.pending()]).toEqual([0, []]);

it('is found once it listens, and once only', () => {
  begin('a');
  clock.advance(300);
  expect(found).toEqual([]);
  answer = 'taken';
  clock.advance(20);
  expect(found).toEqual(['a']);
  nothingIsLeft();
});

it('asks anew where nothing answers, and ever more seldom where it is refused', () => {
  answer = 'waits';
  begin('a');
  clock.advance(250);
  expect(asked).toBe(3);
  answer = 'taken';
  clock.advance(100);
  expect(found).toEqual(['a']);
  answer = 'refused';
  begin('b');
  asked = 0;
  clock.advance(20);
  expect(asked).toBe(10);
  clock.advance(80);
  expect(asked).toBeLessThanOrEqual(30);
  asked = 0;
  clock.advance(100);
  expect(asked).toBeLessThanOrEqual(10);
});

it("leaves to HAProxy what does not listen in HAProxy's own time, and what cannot be asked", () => {
  begin('a');
  clock.advance(2_000);
  nothingIsLeft();
  answer = undefined;
  begin('b');
  nothingIsLeft();
  answer = 'taken';
  clock.advance(2_000);
  expect(found).toEqual([]);
});

it('says nothing of one that was given up, begun anew or left', () => {
  begin('a');
  begin('b');
  begin('b');
  begin('c');
  checks.giveUp('a');
  checks.giveUp('unknown');
  answer = 'taken';
  clock.advance(20);
  expect(found).toEqual(['b', 'c']);
  answer = 'refused';
  begin('d');
  checks.close();
  answer = 'taken';
  clock.advance(2_000);
  expect(found).toEqual(['b', 'c']);
  nothingIsLeft();
});
