/** Whose a kernel's processes are on the host, as the first thing that an instance is given and the last taken back. */
import { PolykernelError } from '../sys/errors.ts';
import type { Identity } from '../sys/identity.ts';
import { isRootUser } from '../sys/user-text.ts';
import type { Identities } from './identities.ts';
import type { Provider } from './provider.ts';
import type { InstanceSpec } from './spec.ts';

export const identityProvider = (identities: Identities): Provider => ({
  name: 'its user ids',
  reserve({ id, spec }) {
    const identity = identities.take(id);
    checkUser(spec, identity);
    return { identity };
  },
  change({ spec, identity }) {
    if (identity !== null) checkUser(spec, identity);
    return {};
  },
  release: ({ id }) => identities.release(id),
  releaseAllBut: (owners) => identities.releaseAllBut(() => owners().ids),
});

/**
 * Without ids to give away, what a user of the guest other than its root writes would be the caller's own. Throws `unsupported`, and
 * `permission` for set-uid files.
 */
function checkUser({ name, user, volumes }: InstanceSpec, identity: Identity): void {
  const setId = volumes.findIndex(({ maySetId }) => maySetId);
  if (setId >= 0 && identity.kind !== 'range') {
    throw new PolykernelError(
      'permission',
      `${name} is to make set-uid files, and only root may let a kernel do that`,
      {
        field: `volumes[${setId}].maySetId`,
        value: true,
        hint: 'Leave :suid out, or run Polykernel as root.',
      },
    );
  }
  if (identity.kind !== 'single' || isRootUser(user) || volumes.every(({ readOnly }) => readOnly)) return;
  throw new PolykernelError(
    'unsupported',
    `${name} is to run as user ${user} with a writable volume, and its files could belong to nobody but you`,
    {
      field: 'user',
      value: user,
      hint: 'Get ids for it, as root: apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER. Or run it as the root of its kernel.',
    },
  );
}
