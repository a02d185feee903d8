import { expect, it } from 'vitest';
import type { Clock } from '../sys/clock.ts';
import { type Arrival, Lookouts } from './lookouts.ts';

/** Time that goes on as soon as nothing is left to do. */
class QuickClock implements Clock {
  #now = 0;
  #waiting: { at: number; callback: () => void }[] = [];
  now = () => this.#now;
  after(milliseconds: number, callback: () => void): () => void {
    const entry = { at: this.#now + milliseconds, callback };
    this.#waiting.push(entry);
    setImmediate(() => this.#next());
    return () => {
      this.#waiting = this.#waiting.filter((each) => each !== entry);
    };
  }
  #next(): void {
    this.#waiting.sort((a, b) => a.at - b.at);
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#now = next.at;
    next.callback();
  }
}

const arrival = (address: string): Arrival => ({ server: 'web/a', instance: 'a', address, port: 80 });

it('tells once when a program listens, however often it was asked', async () => {
  let asked = 0;
  const seen = await new Promise<Arrival>((resolve, reject) => {
    const lookouts = new Lookouts({
      clock: new QuickClock(),
      listens: async () => {
        if (++asked === 2) throw new Error('busy');
        return asked >= 5;
      },
      seen: resolve,
    });
    lookouts.watch(arrival('10.213.0.3'));
    setTimeout(reject, 10_000).unref();
  });
  expect(seen.address).toBe('10.213.0.3');
  expect(asked).toBe(5);
});

it('gives up after a while, and asks for the latest arrival alone', async () => {
  const clock = new QuickClock();
  const told: string[] = [];
  const asked: string[] = [];
  let isThere = false;
  const lookouts = new Lookouts({
    clock,
    listens: async (instance) => {
      asked.push(instance);
      return isThere;
    },
    seen: ({ address }) => told.push(address),
  });
  lookouts.watch(arrival('10.213.0.3'));
  lookouts.watch(arrival('10.213.0.4'));
  while (clock.now() < 3000) await new Promise((resolve) => setImmediate(resolve));
  isThere = true;
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(told).toEqual([]);
  expect(asked.length).toBeLessThan(400);
  lookouts.watch(arrival('10.213.0.5'));
  lookouts.close();
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(told).toEqual([]);
});

it('goes on with a later arrival when an earlier one would be given up', async () => {
  const clock = new QuickClock();
  const first = Promise.withResolvers<boolean>();
  const told: string[] = [];
  let asked = 0;
  const lookouts = new Lookouts({
    clock,
    // The first kernel does not answer before it would be given up.
    listens: () => (++asked === 1 ? first.promise : Promise.resolve(clock.now() > 4000)),
    seen: ({ address }) => told.push(address),
  });
  lookouts.watch(arrival('10.213.0.3'));
  clock.after(2000, () => lookouts.watch(arrival('10.213.0.4')));
  while (clock.now() < 4500 && told.length === 0) await new Promise((resolve) => setImmediate(resolve));
  first.resolve(true);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(told).toEqual(['10.213.0.4']);
});
