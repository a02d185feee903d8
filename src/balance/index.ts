/** Balancing, as one thing that a daemon can do. */
import type { Surroundings } from '../core/surroundings.ts';
import { Moves, type MovesOptions } from './moves.ts';

export function balanceCapability({ mutex }: Surroundings, given: Omit<MovesOptions, 'mutex'>) {
  return { name: 'balancing', moves: new Moves({ ...given, mutex }) };
}
