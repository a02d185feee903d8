import { userIdentity } from '../sys/identity.ts';
import { IdRegistry } from './id-registry.ts';
import { type Identities, oneForAll } from './identities.ts';
import { userHomes } from './user-homes.ts';

/** Those of the daemon of `home`, as it is run by this user. */
export async function identitiesOf(home: string): Promise<Identities> {
  if (process.getuid?.() === 0) return new IdRegistry(home);
  return oneForAll(await userIdentity(), await userHomes(home));
}
