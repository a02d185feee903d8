/** Doctor's checks of what kernel images and roots need on this machine. */
import { type Check, programCheck } from '../core/check.ts';

const TOOLS = ['sqfstar', 'tar', 'xz', 'gzip', 'zstd', 'flock', 'prlimit', 'dpkg-deb', 'dpkg-query', 'sync'];

export const imageChecks = (): Check[] => [
  programCheck('roots', 'images and archives can be taken in', { tools: TOOLS }),
];
