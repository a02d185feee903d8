import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readTopology, summarize } from '../../src/topology/index.ts';
import { hostNames, hostTopology, writeHost } from '../fixtures/hosts/index.ts';
import { lstopoSummary } from '../support/lstopo.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-hosts-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it.each(hostNames)('%s: counts what lstopo counts, on disk as in memory', async (name) => {
  const root = join(directory, name);
  writeHost(name, root);
  const topology = readTopology(root);
  expect(topology).toEqual(hostTopology(name));
  // The cores of offline CPUs cannot be known; a balloon, and masks that end at the node, are told.
  const isTold = ['offline-isolated', 'vm-balloon', 'x86-masks-of-nodes'].includes(name);
  expect(topology.warnings).toHaveLength(isTold ? 1 : 0);
  const counted = await lstopoSummary(root);
  // On x86 ids are unique: lstopo makes a package of each node where the kernel's masks end there.
  const packages = name === 'x86-masks-of-nodes' ? 2 : counted.packages;
  expect(summarize(topology)).toEqual({ ...counted, packages });
});

it('counts what lstopo counts of this machine', async () => {
  expect(summarize(readTopology('/'))).toEqual(await lstopoSummary('/'));
});
