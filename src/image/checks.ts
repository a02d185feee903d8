/** What kernel images and roots need. */
import { type Check, programCheck } from '../core/check.ts';

const TOOLS = ['sqfstar', 'tar', 'xz', 'gzip', 'zstd', 'flock', 'prlimit', 'dpkg-deb', 'dpkg-query'];

export const imageChecks = (): Check[] => [
  programCheck('roots', 'images and archives can be taken in', { tools: TOOLS }),
];
