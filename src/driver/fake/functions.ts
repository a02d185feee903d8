/** PCI functions of a kernel in memory. */
import { PolykernelError } from '../../sys/errors.ts';
import type { KernelFunctions } from '../driver.ts';

export const fakeFunctions = (machine: {
  functions: Set<string>;
  neverTakes: boolean;
  neverGives: boolean;
}): KernelFunctions => ({
  check: () => {},
  list: async () => [...machine.functions],
  async attach({ address }) {
    machine.functions.add(address);
    if (machine.neverTakes) throw silent(`the guest's kernel does not see ${address}`);
  },
  async detach(address) {
    if (machine.neverGives) throw silent(`the guest does not let go of ${address}`);
    machine.functions.delete(address);
  },
});

const silent = (why: string): PolykernelError => new PolykernelError('not-ready', why, { field: 'device' });
