/** Copies of the state that an upgrade of the daemon makes. Whoever makes one removes it; what is left of who was killed goes with the next daemon that serves. */
import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Layout } from './paths.ts';

/** Directories in the state directory that begin so, which mkdtemp(3) goes on with: of who looks whether it could take over. */
export const LOOKED_AT = 'upgrade-';
const LOOKED_AT_NAME = /^upgrade-[A-Za-z0-9]{6}$/;
const PARTS = ['', '-wal'];

/** What of the database there is to copy, and what its copy is called, for the time in which another daemon takes over. */
export const asideParts = (database: string): { part: string; aside: string }[] =>
  PARTS.map((part) => ({ part: database + part, aside: `${database}.before-upgrade${part}` }));

/** For the one daemon of a state directory, once it serves. */
export function removeStateCopies({ home, database }: Pick<Layout, 'home' | 'database'>): void {
  const aside = new Set(asideParts(database).map(({ aside }) => basename(aside)));
  for (const name of readdirSync(home))
    if (aside.has(name) || LOOKED_AT_NAME.test(name)) rmSync(join(home, name), { recursive: true, force: true });
}
