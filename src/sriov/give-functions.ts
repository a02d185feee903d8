/** The PCI functions that an instance is to have. */
import type { Provider } from '../instance/contract.ts';
import type { Functions } from './manager.ts';

export const functionProvider = (functions: Functions): Provider => ({
  name: 'its PCI functions',
  release: ({ id }) => functions.giveBackOf(id),
  releaseAllBut: (records) => functions.giveBackAllBut(new Set(records.map(({ id }) => id))),
});
