import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { silentJournal } from '../core/journal.ts';
import type { Kernel } from '../driver/index.ts';
import type { InstanceSpec } from '../instance/contract.ts';
import { HostNetwork } from './bridge.ts';
import type { Forwards } from './forwards.ts';
import { Network } from './network.ts';

/** A network of an ordinary user, of which nothing is left on the host but what the one kernel in it has. */
function setUp(end = async () => {}) {
  const home = mkdtempSync(join(tmpdir(), 'pk-net-'));
  onTestFinished(() => rmSync(home, { recursive: true }));
  const lost: string[] = [];
  const done: string[] = [];
  const state = { isTakingOver: true };
  const spec = { name: 'late', network: 'private', publish: [], volumes: [], tenant: null } as unknown as InstanceSpec;
  const network = new Network({
    ...{ home, privileged: false, journal: silentJournal },
    forwards: { endAllBut: async () => void done.push('looked'), end } as unknown as Forwards,
    members: () => [{ id: '1', spec, networkNumber: 2, launch: null }],
    isTakingOver: () => state.isTakingOver,
    lost: ({ id }) => void lost.push(id),
  });
  return { network, state, lost, done };
}

const kernel = { exited: new Promise(() => {}), guest: { writeFile: async () => {} } } as unknown as Kernel;

it('a kernel that has not answered this daemon yet is reached where it was, until it has ended', async () => {
  const { network, state } = setUp();
  let changes = 0;
  network.onChange(() => {
    changes += 1;
  });
  expect(network.address('late')).toBe('10.213.0.2');
  state.isTakingOver = false;
  await network.ended('1');
  expect([network.address('late'), changes]).toEqual([null, 1]);
});

it('one whose network is gone is in none, however late it answers', async () => {
  const { network, state, lost } = setUp();
  await network.recover();
  expect([network.address('late'), lost]).toEqual([null, ['1']]);
  network.kernelUp('late', kernel);
  state.isTakingOver = false;
  expect(network.address('late')).toBeNull();
});

it('a new daemon looks at what is there while nobody changes it', async () => {
  const { promise: ending, resolve: goOn } = Promise.withResolvers<void>();
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { network, done } = setUp(async () => {
    begin();
    await ending;
    done.push('changed');
  });
  const spec = { network: 'private', publish: [{}] } as unknown as InstanceSpec;
  const before = { id: '1', spec, networkNumber: 2, launch: null };
  const changed = network.changed({ ...before, spec: { ...spec, publish: [] } }, before);
  await begun;
  const recovered = network.recover();
  await new Promise((resolve) => setImmediate(resolve));
  goOn();
  await Promise.all([changed, recovered]);
  expect(done).toEqual(['changed', 'looked']);
});

it.each([
  [2, 'which another one has by now', []],
  [3, 'which nobody has', ['k3']],
])('of one that had number %i, %s', async (networkNumber, _, removed) => {
  const seen: string[] = [];
  const spy = vi.spyOn(HostNetwork.prototype, 'removePort').mockImplementation(async (port) => {
    seen.push(port.interface);
  });
  onTestFinished(() => spy.mockRestore());
  const { network } = setUp();
  const spec = { name: 'other', network: 'none', publish: [], volumes: [], tenant: null } as unknown as InstanceSpec;
  const before = { ...spec, network: 'private' } as InstanceSpec;
  const member = { id: '2', launch: null };
  await network.changed({ ...member, spec, networkNumber: null }, { ...member, spec: before, networkNumber });
  expect(seen).toEqual(removed);
});
