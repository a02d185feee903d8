import { expect, it } from 'vitest';
import type { Decision, MemoryKernel, MemoryObservation } from '../types.ts';
import { why } from '../why.ts';
import { MemoryLaw } from './memory.ts';

const MIB = 2 ** 20;

/** Kernels of 128 to 512 MiB that are entitled to 256, whose sizes follow what is decided. */
class World {
  readonly law = new MemoryLaw();
  readonly kernels: MemoryKernel[] = ['web', 'batch'].map((name) => ({
    ...{
      name,
      kind: name === 'web' ? 'service' : 'batch',
      min: 128 * MIB,
      max: 512 * MIB,
      entitlement: 256 * MIB,
      priority: 0,
      step: MIB,
    },
  }));
  readonly observations: MemoryObservation[] = this.kernels.map(() => ({
    ...{ known: true, bytes: 256 * MIB, available: 200 * MIB, stalled: 0, majorFaults: 0, refaults: 0 },
  }));
  free = 0;
  at = 0;

  /** So many seconds, in each of which web waits for memory so long. */
  pass(seconds: number, waits = 0, faults = 0): Decision[] {
    const all: Decision[] = [];
    for (let second = 0; second < seconds; second++) {
      this.at += 1;
      const web = this.observations[0]!;
      if (web.stalled !== null) web.stalled += waits;
      web.majorFaults = faults;
      for (const decision of this.law.decide(this)) {
        all.push(decision);
        for (const side of [decision.giver, decision.taker]) {
          const seen = this.observations[this.kernels.findIndex(({ name }) => name === side?.kernel)];
          if (seen === undefined) continue;
          seen.available += side!.after - seen.bytes;
          seen.bytes = side!.after;
        }
        if (decision.move.kind === 'memory' && decision.move.from === null) this.free -= decision.move.bytes;
        if (decision.move.kind === 'memory' && decision.move.to === null) this.free += decision.move.bytes;
      }
    }
    return all;
  }
  get mib(): number[] {
    return [...this.observations.map(({ bytes }) => bytes / MIB), this.free / MIB];
  }
}

it('grows at once by how far waiting is above its target: from what is free, then from who has more than his own', () => {
  const world = new World();
  world.pass(1);
  world.free = 32 * MIB;
  world.observations[1]!.bytes = 384 * MIB;
  // Ten times the target: a quarter of what it has.
  const decisions = world.pass(1, 0.1);
  expect(decisions.map(why)).toEqual([
    '32 MiB from the free ones to web: web 256 MiB → 288 MiB, since its tasks waited 100 ms for memory in 1s, more than 10',
    '32 MiB from batch to web: web 288 MiB → 320 MiB, since its tasks waited 100 ms for memory in 1s, more than 10; batch 384 MiB → 352 MiB, since it has 200 MiB free within',
  ]);
  // It has its own, and so has the other: nothing is taken from that.
  world.observations[1]!.bytes = 256 * MIB;
  expect(world.pass(3, 0.1)).toEqual([]);
});

it('gives one that has less than its own what others do without, down to their floors', () => {
  const world = new World();
  world.observations[0]!.bytes = 160 * MIB;
  world.observations[1]!.available = 100 * MIB;
  world.pass(1);
  world.pass(10, 1);
  // Batch keeps a reserve within.
  expect(world.mib[0]! + world.mib[1]!).toBe(416);
  expect(world.observations[1]!.available).toBeGreaterThanOrEqual(world.observations[1]!.bytes * 0.15);
  expect(world.mib[1]).toBeLessThan(256);
});

it('takes a hundredth every six seconds while nothing waits, in pieces, and never what is in use', () => {
  const world = new World();
  const decisions = world.pass(60);
  expect(decisions.map(why)[0]).toBe(
    '16 MiB of web set free: web 256 MiB → 240 MiB, since nothing waits for memory, and 200 MiB are free within',
  );
  world.pass(3000);
  expect(world.mib).toEqual([128, 128, 256]);
  const busy = new World();
  for (const seen of busy.observations) seen.available = 48 * MIB;
  expect(busy.pass(600)).toEqual([]);
});

it('goes by pages that had to be read where a kernel has no PSI, and leaves alone what is not known', () => {
  const world = new World();
  world.free = 256 * MIB;
  world.observations[0]!.stalled = null;
  world.pass(1);
  expect(world.pass(1, 0, 200).map(({ move }) => move)).toEqual([
    { kind: 'memory', from: null, to: 'web', bytes: 256 * MIB },
  ]);
  const again = new World();
  again.free = 256 * MIB;
  Object.assign(again.observations[0]!, { stalled: null, refaults: 4000 });
  expect(again.pass(2)).toMatchObject([{ move: { to: 'web', bytes: 256 * MIB } }]);
  const silent = new World();
  silent.free = 256 * MIB;
  for (const seen of silent.observations) seen.known = false;
  expect(silent.pass(60, 1)).toEqual([]);
});

it('takes from one of a lower priority what it can do without, below its own too, and no more than that', () => {
  const world = new World();
  world.kernels[0]!.priority = 1;
  world.pass(1);
  world.observations[1]!.available = 100 * MIB;
  expect(world.pass(1, 0.1)).toHaveLength(1);
  // 15 % of what it has stay free within it.
  expect(world.mib).toEqual([304, 208, 0]);
});

it('moves what the drivers of both kernels can: blocks where one has blocks', () => {
  const world = new World();
  const [web, batch] = world.kernels;
  web!.step = 128 * MIB;
  world.observations[1]!.bytes = 480 * MIB;
  world.observations[1]!.available = 400 * MIB;
  world.pass(1);
  const bytesOf = (decisions: Decision[]) => decisions.map(({ move }) => 'bytes' in move && move.bytes / MIB);
  // A quarter of what it has would be 64 MiB.
  expect(bytesOf(world.pass(1, 0.1))).toEqual([128]);
  expect(world.mib).toEqual([384, 352, 0]);
  // 96 MiB above its own, and 80 MiB free, are no block.
  world.free = 80 * MIB;
  expect(world.pass(1, 0.1)).toEqual([]);
  world.observations[0]!.bytes = 256 * MIB;
  Object.assign(world.observations[1]!, { bytes: 448 * MIB, available: 300 * MIB });
  batch!.step = 48 * MIB;
  // Of both it would be 384 MiB.
  expect(bytesOf(world.pass(1, 1))).toEqual([]);
  world.free = 130 * MIB;
  expect(bytesOf(world.pass(1, 1))).toEqual([128]);
  // At rest a block goes once it is owed, and 48 MiB are no less than 16.
  const rest = world.pass(600).filter(({ move }) => 'bytes' in move && move.to === null);
  expect(new Set(rest.map(({ move }) => 'bytes' in move && [move.from, move.bytes / MIB].join(' ')))).toEqual(
    new Set(['web 128', 'batch 48']),
  );
});
