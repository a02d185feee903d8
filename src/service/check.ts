/** Checks of a request for a service that its schema cannot express. */
import { isIP } from 'node:net';
import { PolykernelError } from '../sys/errors.ts';
import type { ServiceRecord, ServiceRequest } from './types.ts';

const DEFAULT_WEIGHT = 100;

export type ResolvedService = Omit<ServiceRecord, 'id' | 'stack' | 'createdAt' | 'removing'>;

/** Completes a request that its schema accepts. Throws `invalid` naming the field. */
export function resolveService(request: ServiceRequest): ResolvedService {
  const { name, port, bind = '127.0.0.1', mode = 'http', balance = 'random2', check = null, slo = {} } = request;
  if (isIP(bind) === 0 || bind.includes('%')) {
    throw new PolykernelError('invalid', `bind: ${JSON.stringify(bind)} is not an IP address`, {
      field: 'bind',
      value: bind,
      hint: 'Give an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them.',
    });
  }
  if (check !== null && mode === 'tcp') {
    throw new PolykernelError('invalid', 'check: a path can be asked for only in http mode', {
      field: 'check',
      value: check,
      hint: 'Leave it out: an instance that accepts connections is healthy.',
    });
  }
  const seen = new Set<string>();
  const targets = request.targets.map((target, index) => {
    const { instance } = target;
    if (seen.has(instance)) {
      throw new PolykernelError('invalid', `targets[${index}].instance: ${instance} is named twice`, {
        field: `targets[${index}].instance`,
        value: instance,
        hint: 'Name each instance once; its weight says how much it gets.',
      });
    }
    seen.add(instance);
    return { instance, port: target.port ?? port, weight: target.weight ?? DEFAULT_WEIGHT, drain: false };
  });
  return {
    name,
    port,
    bind,
    mode,
    balance,
    check,
    slo: { latency: slo.latency ?? null, availability: slo.availability ?? null },
    targets,
  };
}
