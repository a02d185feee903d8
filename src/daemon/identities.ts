/**
 * Whose processes the kernels of this daemon are on the host. For root: a range of ids for each kernel, out of one
 * registry for the machine. For others: what /etc/subuid and /etc/subgid give them, or their own id alone.
 */
import { readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { IdBlock, Identity } from '../driver/identity.ts';
import { identityOptions } from '../driver/identity.ts';
import { nativeBinary } from '../sys/paths.ts';
import { run } from '../sys/process.ts';
import { findTool } from '../sys/tools.ts';
import { IdRegistry } from './id-registry.ts';

export interface Identities {
  /** For a kernel, by the id of its instance; the same again for the same one. Throws `unavailable` when none is free. */
  take(id: string): Identity;
  /** Idempotent. */
  release(id: string): void;
  /** Something outside of what was mapped for it has its ids now: nobody else may ever get them. */
  spend(id: string): void;
  /** Gives back what no instance of this state directory has. */
  releaseAllBut(ids: ReadonlySet<string>): void;
}

/** The same for all: nothing is handed out. */
export const oneForAll = (identity: Identity): Identities => ({
  take: () => identity,
  release: () => {},
  spend: () => {},
  releaseAllBut: () => {},
});

const TRIAL_DEADLINE_MS = 10_000;

/** Those of the daemon of `home`, as it is run by this user. */
export async function identitiesOf(home: string): Promise<Identities> {
  if (process.getuid?.() === 0) return new IdRegistry(home);
  return oneForAll(await userIdentity());
}

/** An ordinary user's: with more than one id where that really works. */
export async function userIdentity(): Promise<Identity> {
  const wanted = subordinateIds();
  if (wanted === undefined) return { kind: 'single' };
  try {
    const trial = [nativeBinary('pk-cell'), ...identityOptions(wanted), '--', '/bin/true'];
    const { code } = await run(trial, { deadlineMs: TRIAL_DEADLINE_MS });
    return code === 0 ? wanted : { kind: 'single' };
  } catch {
    return { kind: 'single' };
  }
}

/** What the system gives this user, and the programs that map it; undefined where there is none. */
function subordinateIds(): Extract<Identity, { kind: 'subids' }> | undefined {
  const [newuidmap, newgidmap] = ['newuidmap', 'newgidmap'].map((name) => findTool(name)?.path);
  if (newuidmap === undefined || newgidmap === undefined) return undefined;
  const { username, uid } = userInfo();
  const names = [username, String(uid)];
  const [uids, gids] = ['/etc/subuid', '/etc/subgid'].map((file) => largestBlock(readSubids(file), names));
  return uids && gids && { kind: 'subids', uids, gids, newuidmap, newgidmap };
}

/** More than these an ordinary system does not use: 0 is the caller. */
const MOST_SUBIDS = 65_535;

function largestBlock(all: readonly (IdBlock & { owner: string })[], names: readonly string[]): IdBlock | undefined {
  const mine = all.filter(({ owner }) => names.includes(owner)).sort((a, b) => b.count - a.count)[0];
  return mine && { start: mine.start, count: Math.min(mine.count, MOST_SUBIDS) };
}

/** subuid(5): `user:start:count` a line. Lines that say something else are passed over. */
export function parseSubids(text: string): (IdBlock & { owner: string })[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([^:#\s]+):(\d{1,10}):(\d{1,10})$/.exec(line.trim());
    return match === null ? [] : [{ owner: match[1]!, start: Number(match[2]), count: Number(match[3]) }];
  });
}

/** Of a file that is there; none otherwise. */
export function readSubids(file: string): (IdBlock & { owner: string })[] {
  try {
    return statSync(file).size > 2 ** 20 ? [] : parseSubids(readFileSync(file, 'utf8'));
  } catch {
    return [];
  }
}
