/** Doctor's checks of what kernel images, roots and sources of device trees need on this machine. */
import { type Check, programCheck, toolCheck } from '../core/check.ts';

const TOOLS = ['sqfstar', 'tar', 'xz', 'gzip', 'zstd', 'flock', 'prlimit', 'dpkg-deb', 'dpkg-query', 'sync'];

export const imageChecks = (): Check[] => [
  programCheck('roots', 'images and archives can be taken in', { tools: TOOLS }),
  toolCheck('cpp', 'cpp', 'sources of device trees can have macros of C (`pk dt compile --cpp`)'),
];
