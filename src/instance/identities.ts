/**
 * Whose processes the kernels of this daemon are on the host. For root: a range of ids for each kernel, out of one
 * registry for the machine. For others: what /etc/subuid and /etc/subgid give them, or their own id alone.
 */
import type { Identity } from '../sys/identity.ts';
import { defaultHome } from '../sys/paths.ts';

export interface Identities {
  /** For a kernel, by the id of its instance; the same again for the same one. Throws `unavailable` when none is free. */
  take(id: string): Identity;
  /** Idempotent. */
  release(id: string): void;
  /** Something outside of what was mapped for it has its ids now: nobody else may ever get them. */
  spend(id: string): void;
  /** Gives back what no instance of this state directory has. */
  releaseAllBut(ids: () => ReadonlySet<string>): Promise<void>;
  /** Other state directories of this user, as far as they are known: what daemons of theirs keep is not for guests. */
  homes(): readonly string[];
  /** Lets go of its files; another use opens them again. */
  close(): void;
}

/** The same for all: nothing is handed out. */
export const oneForAll = (identity: Identity, homes: Identities['homes'] = () => [defaultHome()]): Identities => ({
  take: () => identity,
  release: () => {},
  spend: () => {},
  releaseAllBut: async () => {},
  homes,
  close: () => {},
});
