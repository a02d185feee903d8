/** Doctor's check of what trying a fault needs. */
import { type Check, programCheck } from '../core/check.ts';

export const containmentChecks = (): Check[] => [
  programCheck('trials', 'faults can be tried', { natives: ['pk-trial'] }),
];
