/** Balancing, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { balanceApi } from './api.ts';
import { Moves, type MovesOptions } from './moves.ts';
import { balanceHandlers } from './routes.ts';

export function balanceCapability({ mutex }: Surroundings, given: Omit<MovesOptions, 'mutex'>) {
  const moves = new Moves({ ...given, mutex });
  return { name: 'balancing', routes: served(balanceApi, balanceHandlers(moves)) };
}
