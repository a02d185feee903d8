/** Doctor's checks of what services need on this machine. */
import { type Check, programCheck } from '../core/check.ts';

export const serviceChecks = (): Check[] => [
  programCheck('services', 'services can be published', { tools: ['haproxy'], natives: ['pk-enter'] }),
];
