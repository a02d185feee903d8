/** The address in the private network, the port and the published ports that an instance is to have. */
import type { Provider } from '../instance/contract.ts';
import type { Network } from './network.ts';

export const addressProvider = (network: Network): Provider => ({
  name: 'its network',
  prepare: (draft) => network.choosePorts(draft),
  reserve(draft) {
    const spec = { ...draft.spec, publish: network.portsOf(draft) };
    return { spec, networkNumber: spec.network === 'none' ? null : network.take(spec) };
  },
  prepareChange: async ({ id, spec: { publish } }, spec) => network.choosePorts({ id, spec }, publish),
  change: (record, before, others) => network.change(record, before, others),
  changed: (record, before) => network.changed(record, before),
  created({ networkNumber }) {
    if (networkNumber !== null) network.tellNames();
  },
  problems: (specs, isReplaced) => network.nameProblems(specs, isReplaced),
  launch: async (record, can) => ({ network: await network.join(record, can) }),
  kernelUp: ({ spec }, kernel) => network.kernelUp(spec.name, kernel),
  release: async ({ id, spec, networkNumber = null, launch = null }) =>
    network.leave({ id, spec, networkNumber, launch }),
});
