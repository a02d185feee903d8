/**
 * The driver of kernels beside the host's, on a kernel that really has the multikernel patches: `npm run test:multikernel` boots one
 * that the user supplies, and runs this file there.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { CpuMap } from '../../src/driver/multikernel/cpus.ts';
import { MultikernelDriver } from '../../src/driver/multikernel/driver.ts';
import { thisHost } from '../../src/driver/multikernel/host.ts';
import { KernelFiles } from '../../src/driver/multikernel/interface.ts';
import { ImageStore } from '../../src/image/contract.ts';
import { conformance } from '../support/conformance.ts';
import { hostProcesses } from '../support/host-processes.ts';
import { busyboxRoot } from '../support/multikernel/images.ts';
import { TRUE_GUEST } from '../support/multikernel/true-host.ts';

/** In the pool from the beginning: for kernels that own nothing, and one to move to. */
const FREE = [2, 3];
const MEMORY = [{ bytes: 2 ** 30, node: 0 }];

const isThere = process.env.POLYKERNEL_ON_MULTIKERNEL === '1';

// No kernel of ours has the patches: what is started elsewhere than there would be refused.
describe.skipIf(!isThere)('on a true multikernel host', () => {
  // Made for a run alone: a skipped one is read too, and takes nothing away.
  const cache = isThere ? mkdtempSync(join(tmpdir(), 'pk-true-')) : '';
  const root = isThere ? busyboxRoot() : { kind: 'directory' as const, path: '' };
  beforeAll(() => {
    const host = thisHost();
    const cpus = new CpuMap(host.cpuinfo, join(cache, 'multikernel-cpus.json')).physical(FREE);
    new KernelFiles(host.root).baseline({ cpus, memory: MEMORY });
  });
  afterAll(() => {
    for (const path of [cache, root.path]) rmSync(path, { recursive: true, force: true });
  });

  conformance('multikernel, on a true host', {
    createDriver: () => new MultikernelDriver({ cache }),
    image: () => new ImageStore().resolve(TRUE_GUEST),
    root,
    cpus: [1, ...FREE],
    processesOf: hostProcesses,
  });
});
