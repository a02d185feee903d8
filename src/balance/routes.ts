import type { Handlers } from '../core/route.ts';
import type { balanceApi } from './api.ts';
import type { Moves } from './moves.ts';

/** Sizes of kernels, and what moves between them. */
export const balanceHandlers = (moves: Moves): Handlers<typeof balanceApi> => ({
  resize: (call) => moves.resize(call.params.name, call.body, call.progress, call.signal),
  move: (call) => moves.move(call.body, call.progress, call.signal),
});
