/** What a driver is given, for tests that start kernels by themselves. */
import { randomBytes } from 'node:crypto';
import type { LaunchSpec } from '../../src/driver/index.ts';
import { testIdentity } from './identity.ts';

/** A launch of one CPU, 256 MiB and the machine's own files, as `change` says otherwise; of an id of its own. */
export const launchSpec = (change: Partial<LaunchSpec> & Pick<LaunchSpec, 'directory' | 'image'>): LaunchSpec => ({
  id: randomBytes(16).toString('hex'),
  name: 'test',
  hostname: 'test',
  cpus: 1,
  memoryBytes: 256 * 2 ** 20,
  root: { kind: 'host' },
  volumes: [],
  identity: testIdentity,
  placement: undefined,
  housekeepingCpus: undefined,
  cold: false,
  readyTimeoutMs: 120_000,
  regions: [],
  network: null,
  hiddenPaths: [],
  shownPaths: [],
  ...change,
});
