/** What a person asks of a service, completed; and what is said when it cannot be had. */
import { checkName } from '../core/name.ts';
import { PolykernelError } from '../sys/errors.ts';
import { bindText, type ResolvedService, resolveService, type ServiceRecord, type ServiceRequest } from './contract.ts';

/** What a schema cannot say of it. Throws `invalid` naming the field. */
export function checked(request: ServiceRequest): ResolvedService {
  checkName(request.name);
  for (const [index, { instance }] of request.targets.entries()) checkName(instance, `targets[${index}].instance`);
  return resolveService(request);
}

/** `127.0.0.1:8080 to web1:80, web2:80`. */
export const wayOf = ({ bind, port, targets }: ResolvedService): string =>
  `${bindText(bind, port)} to ${targets.map(({ instance, port }) => `${instance}:${port}`).join(', ')}`;

export function unservable({ name, port }: Pick<ServiceRecord, 'name' | 'port'>, fault: string): PolykernelError {
  return new PolykernelError('conflict', `the service ${name} cannot have its address: ${fault}`, {
    field: 'port',
    value: port,
    hint: 'Choose another port, or end what uses it.',
  });
}
