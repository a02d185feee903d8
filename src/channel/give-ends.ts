/** The ends of channels that an instance asks for. */
import type { Provider } from '../instance/contract.ts';
import type { Channels } from './channels.ts';

export function endProvider(channels: Channels): Provider {
  /** Of those that are being created, by id: what undoes their claims, channels that were made for them included. */
  const claims = new Map<string, () => Promise<void>>();
  return {
    name: 'its ends of channels',
    async prepare({ id, spec }) {
      claims.set(id, await channels.claim(spec.name, spec.tenant, spec.channels));
    },
    created: ({ id }) => void claims.delete(id),
    check: ({ name, tenant }, tenantOf) => channels.checkOwner(name, tenant, tenantOf),
    launch: async ({ spec }) => ({ regions: channels.regionsOf(spec.name) }),
    kernelUp: ({ spec }, kernel, regions, adopted) => channels.kernelUp(spec.name, kernel, regions, adopted),
    async release({ id, spec }) {
      const undo = claims.get(id);
      claims.delete(id);
      await (undo === undefined ? channels.release(spec.name) : undo());
    },
    releaseAllBut: (owners) => channels.releaseAllBut(() => owners().names),
  };
}
