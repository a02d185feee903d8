import { inspect } from '../kit/inspect.ts';

export const command = inspect(
  'service',
  ['pk service inspect api', 'targets, counters, latencies, promises and the proxy'],
  (client, name) => client.service(name),
);
