/** What a guest is like for the programs in it. Each family of figures is a function of its own. */
import { clockRows } from './guest-clock.ts';
import type { Bench } from './row.ts';

export const guest: Bench = async (progress) => [...(await clockRows(progress))];
