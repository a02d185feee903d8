/** What the types of steps refuse. */
import { expect, it } from 'vitest';
import type { AnyStep, BareStep, Executor, Executors, Step } from './step.ts';

it('a kind without an executor, or without an undo, does not compile', () => {
  const executor: Executor<BareStep> = { check() {}, async run() {}, verify: () => true, afterCrash: 'finish' };
  type Bell = Step<BareStep<'bell.ring'>, BareStep<'bell.mute'>>;
  const all: Executors<Bell> = { 'bell.ring': executor, 'bell.mute': executor };
  // @ts-expect-error: nothing carries out what takes it back
  const some: Executors<Bell> = { 'bell.ring': executor };
  // @ts-expect-error: nothing carries it out
  const others: Executors<Bell> = { 'bell.mute': executor };
  const ring = { kind: 'bell.ring', name: 'a', text: 'ring', phase: 'move', byHand: 'mute it' } as const;
  // @ts-expect-error: nothing takes it back
  const without: Bell = ring;
  // @ts-expect-error: a kind says what takes it back, or that nothing does
  type Unsaid = Step<BareStep<'bell.ring'>>;
  // @ts-expect-error: what takes it back is another kind
  const wrong: Bell = { ...ring, undo: ring };
  const right: AnyStep = { ...ring, undo: null };
  expect([all, some, others, without, wrong, right, undefined as Unsaid | undefined]).toHaveLength(7);
});
