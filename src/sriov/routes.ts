import type { Handlers } from '../core/route.ts';
import type { sriovApi } from './api.ts';
import type { Attachments } from './attach.ts';
import type { Functions } from './manager.ts';

/** PCI functions and their owners. */
export const sriovHandlers = (functions: Functions, attachments: Attachments): Handlers<typeof sriovApi> => ({
  functions: () => functions.list(),
  functionPlan: () => functions.plan(),
  setVirtualFunctions: ({ body, progress, signal }) => functions.setCount(body.address, body.count, progress, signal),
  assignFunction: ({ body }) => functions.assign(body.device, body.to),
  attachFunction: ({ params, body, progress, signal }) =>
    attachments.attach(params.name, body.device, progress, signal),
  detachFunction: ({ params, signal }) => attachments.detach(params.name, params.address, signal),
  setFunctionNetwork: ({ params, body, signal }) =>
    attachments.setNetwork(params.address, body.settings, body.dry ?? false, signal),
  releaseFunction: ({ params }) => functions.release(params.address),
});
