import { conformance } from '../../../test/conformance.ts';
import { FakeDriver, fakeKernels } from './driver.ts';

conformance('fake', {
  createDriver: () => new FakeDriver(),
  cpus: [0, 1],
  image: async () => ({
    name: 'fake',
    digest: '0'.repeat(64),
    kind: 'uml',
    version: '6.1.0-fake',
    kernel: '/nonexistent',
    initramfs: '/nonexistent',
    modules: {},
  }),
  processesOf: async (directory) =>
    fakeKernels()
      .filter((running) => running === directory)
      .map(() => 1),
});
