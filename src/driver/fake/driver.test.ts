import { conformance } from '../../../test/support/conformance.ts';
import { FakeDriver, fakeGuest, fakeKernels } from './driver.ts';
import { FAKE_IMAGE } from './traits.ts';

conformance('fake', {
  createDriver: () => new FakeDriver(),
  cpus: [0, 1],
  image: async () => FAKE_IMAGE,
  processesOf: async (directory) => fakeKernels(directory).map(() => 1),
  standsStill: (directory) => fakeGuest(directory)!.isPaused,
});
