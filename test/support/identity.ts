/** Whose the processes of a test's kernels are: ids that the registry of the machine never gives out. */
import { type Identity, RANGE_IDS, userIdentity } from '../../src/sys/identity.ts';

export const TEST_RANGE: Extract<Identity, { kind: 'range' }> = {
  kind: 'range',
  start: 0x7ffe_0000,
  count: RANGE_IDS,
};

export const testIdentity: Identity = process.getuid?.() === 0 ? TEST_RANGE : await userIdentity();
