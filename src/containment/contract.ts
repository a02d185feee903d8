/** What others may know of trials: their words, and what is drawn of them. */
export { FAULT_NAMES, FAULTS, type FaultName } from './faults.ts';
export * from './types.ts';
