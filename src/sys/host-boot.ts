import { readFileSync } from 'node:fs';

/** Names this boot of the host: what was found out about the machine in another may be true no more. */
export const hostBootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
