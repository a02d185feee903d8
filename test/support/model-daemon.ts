/** A whole daemon in this process, on the fake driver and a state directory of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KEEPER_DIRECTORY, Keepers } from '../../src/channel/keeper.ts';
import { Client } from '../../src/client/index.ts';
import { createDaemon, type Daemon, type DaemonOptions } from '../../src/daemon/index.ts';
import { FakeDriver, fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import type { CreateRequest, InstanceStatus } from '../../src/instance/contract.ts';
import { oneForAll } from '../../src/instance/identities.ts';
import { HaProxy } from '../../src/service/contract.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { hostProcesses } from './host-processes.ts';
import { modelHost } from './model-host.ts';

/** A host of eight CPUs without SMT and 16 GiB, on which nothing has to be done. */
export const HOST: DaemonOptions['host'] = {
  readTopology: () => modelHost({ coresPerL3: 8, threads: 1, memoryBytesPerNode: 16 * 2 ** 30 }),
  bootId: 'test',
  lease: { take: () => {}, drop: () => {} },
  enforcement: {
    plan: () => ({ acts: [], notes: [] }),
    perform: async () => undefined,
    undo: async () => undefined,
    readBack: () => ({ holds: [], lost: [] }),
  },
};

export interface TestDaemon {
  home: string;
  client: Client;
  daemon: Daemon;
  journal: string[];
  /** Ends this daemon as SIGKILL would and starts another on the same directory. */
  crashAndRestart(): Promise<void>;
  /** Creates with `driver: fake`. */
  create(request: Partial<CreateRequest> & { command: string[] }): Promise<InstanceStatus>;
}

/** `end`: closes it, ends its kernels and removes its directory. */
export async function modelDaemon(
  options: Partial<DaemonOptions> = {},
): Promise<{ test: TestDaemon; end(): Promise<void> }> {
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'pk-unit-')));
  const journal: string[] = [];
  const start = () =>
    createDaemon({
      drivers: [new FakeDriver()],
      images: {
        list: async () => [],
        pull: async (name, progress) => {
          progress('fetching');
          throw new PolykernelError('not-found', `there is no image ${name} to pull`);
        },
        import: async (request) => {
          throw new PolykernelError('invalid', `${request.kernel} is no kernel`);
        },
        remove: async () => {},
        resolve: async (name) => {
          throw new PolykernelError('not-found', `there is no image ${name} here`, { field: 'image', value: name });
        },
      },
      prepareRoot: async (path) => ({ kind: 'directory', path }),
      identities: oneForAll({ kind: 'single' }),
      privileged: false,
      host: HOST,
      journal: {
        info: (message) => void journal.push(message),
        error: (message, error) => void journal.push(`${message}: ${error instanceof Error ? error.stack : error}`),
        close: () => {},
      },
      ...options,
      home,
    });
  const daemon = await start();
  const client = new Client(daemon.socket);
  const test: TestDaemon = {
    home,
    client,
    daemon,
    journal,
    async crashAndRestart() {
      await test.daemon.drop();
      test.daemon = await start();
    },
    create: (request) => client.create({ driver: 'fake', ...request }),
  };
  const end = async () => {
    // A step that fails must not leave the processes of the others.
    try {
      await test.daemon.close();
      for (const directory of fakeKernels(home)) killFakeKernel(directory);
      const keepers = new Keepers(join(home, 'channels', KEEPER_DIRECTORY));
      await keepers.endAllBut(new Set());
      await new HaProxy(join(home, 'haproxy'), 1).stop();
    } finally {
      for (const pid of await hostProcesses(home)) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {}
      }
      await rm(home, { recursive: true, force: true });
    }
  };
  return { test, end };
}
