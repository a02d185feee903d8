/** What the options of `pk service create` and `update` ask for. Pure. */
import type { ServiceRequest } from '../../service/contract.ts';
import { parseLatencyPromise } from '../../service/promise.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';

type Slo = NonNullable<ServiceRequest['slo']>;

/** Of `create` and `update`. */
export const SERVICE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  port: { value: 'PORT', help: 'TCP port of this machine' },
  target: {
    value: 'INSTANCE[:PORT][,...]',
    multiple: true,
    complete: 'instance',
    help: 'who gets the requests; the last port of a list is that of those before it without one',
  },
  bind: { value: 'ADDRESS', help: 'IP address of this machine (default 127.0.0.1)' },
  mode: { value: 'MODE', choices: ['http', 'tcp'], help: 'balance requests or connections (default http)' },
  balance: {
    value: 'HOW',
    choices: ['random2', 'roundrobin', 'leastconn'],
    help: 'default random2: the less loaded of two picked at random',
  },
  check: {
    value: 'PATH',
    help: 'path that a healthy instance answers with 200 to 399 (default: it accepts connections)',
  },
  slo: { value: 'PROMISE', multiple: true, help: 'p99=20ms, or availability=99.9 (per cent); see pk slo' },
};

/** What the options ask for, without what they do not mention. Throws `invalid` naming the option. */
export function serviceOptions(invocation: Invocation): Partial<Omit<ServiceRequest, 'name'>> {
  const port = invocation.integer('port', 1, 65_535);
  const text = (name: string) => invocation.value(name);
  const targets = invocation.values('target').flatMap(parseTargets);
  const promises = invocation.values('slo');
  return {
    ...(port !== undefined && { port }),
    ...(targets.length > 0 && { targets }),
    ...(text('bind') !== undefined && { bind: text('bind')! }),
    ...(text('mode') !== undefined && { mode: text('mode') as 'http' | 'tcp' }),
    ...(text('balance') !== undefined && { balance: text('balance') as NonNullable<ServiceRequest['balance']> }),
    ...(text('check') !== undefined && { check: text('check')! }),
    ...(promises.length > 0 && { slo: parseSlo(promises) }),
  };
}

/** `web1,web2:81,web3:80`: a target without a port has that of the next one with one, or the service's. */
export function parseTargets(text: string): { instance: string; port?: number }[] {
  let port: number | undefined;
  return text
    .split(',')
    .reverse()
    .map((word) => {
      const [, instance, own] = /^([^:]*)(?::(\d{1,5}))?$/.exec(word) ?? [];
      if (instance === undefined || instance === '') {
        throw new PolykernelError('invalid', `--target: ${JSON.stringify(word)} is not INSTANCE or INSTANCE:PORT`, {
          field: '--target',
          value: text,
          hint: 'Write names with commas between them, and a port behind the last: web1,web2,web3:80',
        });
      }
      if (own !== undefined) port = Number(own);
      return port === undefined ? { instance } : { instance, port };
    })
    .reverse();
}

function parseSlo(promises: readonly string[]): Slo {
  const slo: Slo = {};
  for (const promise of promises) {
    const latency = parseLatencyPromise(promise);
    const availability = /^availability=(\d{1,2}(?:\.\d{1,4})?)%?$/.exec(promise);
    if (latency !== undefined) slo.latency = latency;
    else if (availability !== null) slo.availability = Number(availability[1]);
    else
      throw new PolykernelError('invalid', `--slo: ${JSON.stringify(promise)} is no promise`, {
        field: '--slo',
        value: promise,
        hint: 'Write p99=20ms, or availability=99.9; give --slo twice for both.',
      });
  }
  return slo;
}
