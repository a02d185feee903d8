/** Stack files and the steps that carry them out, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import type { Steps } from '../core/steps.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { stackApi } from './api.ts';
import { Stacks, type StacksOptions } from './apply.ts';
import type { StackStep } from './contract.ts';
import { stackHandlers } from './routes.ts';

interface Given extends Omit<StacksOptions, 'steps' | 'mutex'> {
  steps: Steps<StackStep>;
}

export function stackCapability({ mutex, journal }: Surroundings, given: Given) {
  const { steps } = given;
  return {
    name: 'steps',
    routes: served(stackApi, stackHandlers(new Stacks({ ...given, mutex }))),
    /** Kernels may have to be started for it, for which nobody waits but who is to change the same. */
    async recover() {
      void steps.recover().catch((error) => journal.error('taking up steps', error));
    },
    close: () => steps.close(),
  };
}
