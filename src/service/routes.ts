import type { Handlers } from '../core/route.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { serviceApi } from './api.ts';
import type { ServiceManager } from './types.ts';

/** Ports of this machine whose requests go to several instances. */
export const serviceHandlers = (services: ServiceManager): Handlers<typeof serviceApi> => ({
  services: () => services.list(),
  createService: ({ body }) => services.create(body),
  service: ({ params }) => services.get(params.name),
  replaceService({ params, body }) {
    if (body.name !== params.name) throw otherName(body.name, params.name);
    return services.replace(body);
  },
  removeService: ({ params }) => services.remove(params.name),
  changeTarget: ({ params, body }) => services.change(params.name, params.instance, body),
});

function otherName(name: string, path: string): PolykernelError {
  return new PolykernelError('invalid', `name: ${name} is not ${path}, which the path names`, {
    field: 'name',
    value: name,
    hint: `A service keeps its name. Ask for ${path}, or create ${name} and remove ${path}.`,
  });
}
