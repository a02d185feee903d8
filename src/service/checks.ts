/** What services need. */
import { type Check, programCheck } from '../core/check.ts';

export const serviceChecks = (): Check[] => [
  programCheck('services', 'services can be published', { tools: ['haproxy'], natives: ['pk-enter'] }),
];
