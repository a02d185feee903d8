/** The services of a stack file, and what is wrong between them and the kernels. */

import { checkName } from '../core/name.ts';
import { keysOf } from '../core/stack-options.ts';
import { validate } from '../core/validate.ts';
import type { Place, YamlReader } from '../core/yaml-reader.ts';
import { readWord } from '../core/yaml-values.ts';
import type { KernelDefinition } from '../instance/contract.ts';
import { PolykernelError, withoutField } from '../sys/errors.ts';
import { serviceRequestSchema } from './api.ts';
import { parseLatencyPromise, resolveService, type ServiceRequest } from './contract.ts';
import { serviceOptions } from './stack-options.ts';

const MOST_SERVICES = 1024;
const MOST_PORT = 65_535;
const TARGET_HINT = 'Write names of kernels, with a port where it is not that of the service: [web, "db:5432"].';

export function readServices(reader: YamlReader, place: Place, kernels: readonly KernelDefinition[]): ServiceRequest[] {
  const entries = reader.map(place);
  if (entries === undefined) return [];
  if (entries.size > MOST_SERVICES) {
    reader.problem(
      place,
      `names ${entries.size} services; the most is ${MOST_SERVICES}`,
      'Make several stacks of them.',
    );
    return [];
  }
  const byEntry = Map.groupBy(kernels, ({ entry }) => entry);
  for (const kernel of kernels) if (!byEntry.has(kernel.name)) byEntry.set(kernel.name, [kernel]);
  return [...entries].flatMap(([name, service]) => readService(reader, name, service, byEntry) ?? []);
}

function readService(
  reader: YamlReader,
  name: string,
  place: Place,
  kernels: ReadonlyMap<string, readonly KernelDefinition[]>,
): ServiceRequest | undefined {
  reader.attempt({ ...place, offset: place.keyOffset }, () => checkName(name));
  const entries = reader.map(place, keysOf(serviceOptions.options, 'services.*'));
  if (entries === undefined) return undefined;
  const read = <Key extends keyof ServiceRequest>(key: Key, of: (at: Place) => ServiceRequest[Key] | undefined) => {
    const at = entries.get(key);
    const value = at && of(at);
    return value === undefined ? {} : { [key]: value };
  };
  for (const key of ['port', 'targets'])
    if (!entries.has(key)) reader.problem(place, `${key} is missing`, 'Write {port: 8080, targets: ["web:80"]}.');
  const before = reader.problems.length;
  const request = {
    name,
    ...read('port', (at) => reader.number(at, 1, MOST_PORT)),
    ...read('bind', (at) => readWord(reader, at)),
    ...read('targets', (at) => readTargets(reader, at, kernels)),
    ...read('mode', (at) => reader.word(at, ['http', 'tcp'])),
    ...read('balance', (at) => reader.word(at, ['random2', 'roundrobin', 'leastconn'])),
    ...read('check', (at) => readWord(reader, at)),
    ...read('slo', (at) => readSlo(reader, at)),
  };
  if (!('port' in request && 'targets' in request) || reader.problems.length > before) return undefined;
  try {
    resolveService(validate(serviceRequestSchema, request) as ServiceRequest);
    return request as ServiceRequest;
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    const field = error.field?.replace(/^targets\[.*/, 'targets');
    return void reader.problemAt(`${place.path}.${field}`, withoutField(error), error.hint);
  }
}

/** A name of the file stands for all its replicas. */
function readTargets(
  reader: YamlReader,
  place: Place,
  kernels: ReadonlyMap<string, readonly KernelDefinition[]>,
): ServiceRequest['targets'] | undefined {
  return reader.list(place, TARGET_HINT)?.flatMap((item) => {
    const text = readWord(reader, item, 'the name of a kernel', TARGET_HINT);
    if (text === undefined) return [];
    const [, name = '', port] = /^(.*?)(?::(\d{1,5}))?$/.exec(text) ?? [];
    const found = kernels.get(name);
    if (found === undefined)
      return reader.problem(item, `there is no kernel ${JSON.stringify(name)} in this file`, TARGET_HINT) ?? [];
    const alone = found.find(({ create }) =>
      create.network !== undefined ? create.network === 'none' : !create.publish?.length,
    );
    if (alone !== undefined) {
      const hint = `Add network: private to ${alone.entry}.`;
      return reader.problem(item, `${alone.entry} has no network, so that no service can reach it`, hint) ?? [];
    }
    return found.map(({ name }) => (port === undefined ? { instance: name } : { instance: name, port: Number(port) }));
  });
}

function readSlo(reader: YamlReader, place: Place): ServiceRequest['slo'] | undefined {
  const entries = reader.map(place, keysOf(serviceOptions.options, 'services.*.slo'));
  const [latency, availability] = ['latency', 'availability'].map((key) => entries?.get(key));
  const text = latency && readWord(reader, latency);
  const promise = text === undefined ? undefined : parseLatencyPromise(text);
  if (text !== undefined && promise === undefined)
    reader.problem(latency!, `is ${JSON.stringify(text)}, not a promise such as p99=20ms`, 'Write p99=20ms.');
  const percent = availability && reader.number(availability, 1, 99.9999, true);
  return {
    ...(promise !== undefined && { latency: promise }),
    ...(percent !== undefined && { availability: percent }),
  };
}
