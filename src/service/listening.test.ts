import { expect, it } from 'vitest';
import { Listening } from './listening.ts';

const SERVER = { name: 'web', address: '10.213.0.2', port: 80, weight: 1 };

/** Time goes on as fast as it is waited for. */
function testClock() {
  let now = 0;
  return {
    now: () => now,
    after(milliseconds: number, callback: () => void) {
      setImmediate(() => {
        now += milliseconds;
        callback();
      });
      return () => {};
    },
  };
}

it('tells once the server says that it listens, however often it could not be asked before', async () => {
  const answers = [() => Promise.reject(new Error('it boots')), async () => false, async () => true];
  const endpoints = { address: () => SERVER.address, listens: () => answers.shift()!() };
  const listening = new Listening(endpoints, testClock());
  const isStill = await new Promise<() => boolean>((found) => listening.watch('api', SERVER, found));
  expect([answers.length, isStill()]).toEqual([0, true]);
  listening.close();
});

it('gives up when the server goes, after a while, and when told to', async () => {
  const told: string[] = [];
  const clock = testClock();
  let address: string | null = SERVER.address;
  let asked = 0;
  const listens = async () => {
    asked += 1;
    return false;
  };
  const listening = new Listening({ address: () => address, listens }, clock);
  listening.watch('api', SERVER, () => told.push('found'));
  while (clock.now() < 5_000) await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toBeLessThan(150);
  asked = 0;
  listening.watch('api', SERVER, () => told.push('found'));
  address = null;
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  const before = asked;
  address = SERVER.address;
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  expect([before, asked]).toEqual([1, 1]);
  listening.watch('api', SERVER, () => told.push('found'));
  listening.close();
  for (let turns = 0; turns < 20; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  expect([asked, told]).toEqual([2, []]);
});
