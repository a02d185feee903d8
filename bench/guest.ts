/** What a guest is like for the programs in it, against a machine of one's own. Each family of figures is a function of its own. */
import { clockRows } from './guest-clock.ts';
import { guestFiles } from './guest-files.ts';
import { guestStreams } from './guest-streams.ts';
import type { Bench } from './row.ts';

export const guest: Bench = async (progress) => [
  ...(await clockRows(progress)),
  ...(await guestStreams(progress)),
  ...(await guestFiles(progress)),
];
