/**
 * A driver that the product does not know, for the proof that nothing beside its folder has to: its kernels are the fake's, all
 * that is said of it is its own.
 */
import type { Check } from '../../../src/core/check.ts';
import { FakeDriver } from '../../../src/driver/fake/driver.ts';
import { FAKE_CAPABILITIES } from '../../../src/driver/fake/traits.ts';
import type { Availability, Capabilities, Driver, DriverTraits, LaunchSpec } from '../../../src/driver/index.ts';
import type { KernelImage } from '../../../src/image/contract.ts';

export const DUMMY_IMAGE: KernelImage = {
  name: 'straw:1',
  digest: 'd'.repeat(64),
  kind: 'straw',
  version: '6.1.0-straw',
  kernel: '/nonexistent',
  initramfs: '/nonexistent',
  modules: {},
};

const DUMMY: DriverTraits = {
  name: 'dummy',
  title: 'the dummy',
  imageKinds: [DUMMY_IMAGE.kind],
  defaultImage: DUMMY_IMAGE.name,
  ownImages: [DUMMY_IMAGE],
  usesHostMemory: false,
  ownersNeedFuse: false,
  instead: null,
  auto: {
    bestRank: 9,
    rank: () => 9,
    why: () => 'the dummy, because it is made of straw',
    lack: ({ cpus }) => `the dummy has three CPUs and ${cpus} are wanted`,
  },
};

export class DummyDriver implements Driver {
  readonly traits = DUMMY;
  readonly #kernels = new FakeDriver({ capabilities: { sharedMemory: 'boot' } });

  async probe(): Promise<Availability> {
    return { available: true, reason: 'there is straw' };
  }

  capabilities(): Capabilities {
    return {
      ...FAKE_CAPABILITIES,
      maxCpus: 3,
      sharedMemory: 'boot',
      hugePages: false,
      isolation: 'none: it is of straw',
    };
  }

  async checks(): Promise<Check[]> {
    return [{ id: 'straw', status: 'ok', summary: 'it is dry' }];
  }

  start(spec: LaunchSpec, signal: AbortSignal, progress?: (phase: string) => void) {
    return this.#kernels.start(spec, signal, progress);
  }

  attach(...how: Parameters<Driver['attach']>) {
    return this.#kernels.attach(...how);
  }

  destroy(directory: string) {
    return this.#kernels.destroy(directory);
  }

  consoleLog(directory: string) {
    return this.#kernels.consoleLog(directory);
  }

  prewarm() {
    return this.#kernels.prewarm();
  }
}
