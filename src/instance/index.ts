/** Instances, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { Drivers } from '../driver/drivers.ts';
import type { KernelImage } from '../image/contract.ts';
import { instanceApi } from './api.ts';
import { clockProvider, GuestClocks } from './guest-clocks.ts';
import type { Identities } from './identities.ts';
import type { Instance } from './instance.ts';
import type { PrepareRoot } from './launcher.ts';
import type { Provider } from './provider.ts';
import { instanceTable } from './record.ts';
import { instanceHandlers } from './routes.ts';
import { instanceExecutors } from './steps.ts';
import { type PoolOfHost, Supervisor } from './supervisor.ts';

interface Given<P> {
  /** In the order of taking. */
  providers: readonly Provider[];
  hostPool: PoolOfHost<P>;
  drivers: Drivers;
  resolveImage(name: string): Promise<KernelImage>;
  prepareRoot: PrepareRoot;
  /** Whose kernels' processes are. */
  identities: Identities;
  /** The restart of one that waits for it is due: told to who sees to it, by a step of its own. */
  restartDue(instance: Instance): void;
  /** Uniform in [0, 1). */
  random: () => number;
  /** Rotation of workload logs; default 8 MiB. */
  logBytes?: number | undefined;
}

export function instanceCapability<P>(around: Surroundings, given: Given<P>) {
  const { clock, journal, store } = around;
  const clocks = new GuestClocks(clock, journal);
  const supervisor = new Supervisor<P>({
    ...around,
    ...given,
    providers: [...given.providers, clockProvider(clocks)],
    records: store.table(instanceTable),
    transaction: (action) => store.transaction(action),
  });
  return {
    name: 'instances',
    isVital: true,
    supervisor,
    routes: served(instanceApi, instanceHandlers(supervisor)),
    executors: instanceExecutors(supervisor),
    recover: () => supervisor.takeUp(),
    async close(farewell: boolean) {
      await supervisor.detach(farewell);
      clocks.close();
      given.identities.close();
    },
  };
}
