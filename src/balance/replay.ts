/** Recorded windows under another policy: what it would have decided on the same sights. Pure. */
import { type ToldDecision, tell } from './decision-log.ts';
import { settle } from './policy/settle.ts';
import type { Policy, Window } from './types.ts';

const MOST_SHOWN = 200;

export interface Replay {
  policy: string;
  windows: number;
  /** All that it decided; the first of them are told. */
  decided: number;
  decisions: ToldDecision[];
}

/**
 * Each window is as it was recorded: what a decision would have changed is not in those after it, so that one which asks for the
 * same again counts once.
 */
export function replay(policy: Policy, windows: readonly Window[]): Replay {
  const controllers = new Map<string, ReturnType<Policy['begin']>>();
  const last = new Map<string, string>();
  const decisions: ToldDecision[] = [];
  let decided = 0;
  for (const window of windows) {
    // The two groups share no kernel.
    const group = window.kernels.map(({ name }) => name).join();
    const controller = controllers.get(group) ?? policy.begin();
    controllers.set(group, controller);
    for (const decision of settle(window, controller.decide(window))) {
      const what = JSON.stringify(decision.move);
      if (last.get(group) === what) continue;
      last.set(group, what);
      decided += 1;
      if (decisions.length >= MOST_SHOWN) continue;
      const at = new Date(window.at * 1000).toISOString();
      decisions.push(tell({ at, policy: policy.name, decision, outcome: 'observed', note: '' }));
    }
  }
  return { policy: policy.name, windows: windows.length, decided, decisions };
}
