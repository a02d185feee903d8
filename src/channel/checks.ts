/** Doctor's checks of what channels need on this machine. */
import { type Check, programCheck } from '../core/check.ts';

export const channelChecks = (): Check[] => [
  programCheck('channels', 'channels can be made', { tools: ['mkfifo'], natives: ['pk-ring'] }),
];
