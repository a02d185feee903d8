/** Channels, as one thing that a daemon can do. */
import { join } from 'node:path';
import { familiesOf } from '../core/metric.ts';
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { Instances } from '../instance/contract.ts';
import { channelApi } from './api.ts';
import { Channels } from './channels.ts';
import { endProvider } from './give-ends.ts';
import { KEEPER_DIRECTORY, Keepers } from './keeper.ts';
import { channelMetrics } from './metrics.ts';
import { channelTable } from './record.ts';
import { channelHandlers } from './routes.ts';
import { channelExecutors } from './steps.ts';

export function channelCapability(around: Surroundings, instances: () => Pick<Instances, 'find'>) {
  const directory = around.paths.channels;
  const channels = new Channels({
    ...around,
    directory,
    keepers: new Keepers(join(directory, KEEPER_DIRECTORY)),
    records: around.store.table(channelTable),
    instance: (name) => instances().find(name),
  });
  return {
    name: 'channels',
    channels,
    routes: served(channelApi, channelHandlers(channels)),
    provider: endProvider(channels),
    executors: channelExecutors(channels),
    checks: async () => (await import('./checks.ts')).channelChecks(),
    metrics: () => familiesOf(channelMetrics, channels.list()),
    recover: () => channels.recover(),
    close: () => channels.close(),
  };
}
