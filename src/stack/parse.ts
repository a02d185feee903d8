/** From the text of a stack file to a Stack, or to every problem in it. */
import { checkName } from '../core/name.ts';
import { checkInstanceName } from '../instance/contract.ts';
import { MAX_CPU } from '../sys/cpu-list.ts';
import { PolykernelError } from '../sys/errors.ts';
import { checkTogether } from './check.ts';
import { keysOf } from './options.ts';
import { readChannels } from './parse-channels.ts';
import { readKernel } from './parse-kernel.ts';
import { readServices } from './parse-services.ts';
import { readCpuList, readMemoryPerNode, readPciAddress, readSize } from './parse-values.ts';
import type { KernelDefinition, Problem, Stack, StackContext } from './stack.ts';
import { type Place, YamlReader } from './yaml-reader.ts';

/** More than one host has ever been asked to run, and few enough that reading them takes no time to speak of. */
const MOST_KERNELS = 4096;

export type ParsedStack = { stack: Stack; problems: readonly [] } | { stack: undefined; problems: readonly Problem[] };

/** Never throws: whatever is wrong is among the problems, in the order of the file, each with its place. */
export function parseStack(text: string, context: StackContext): ParsedStack {
  const reader = new YamlReader(text);
  const stack = readStack(reader, context);
  if (stack !== undefined) checkTogether(stack, reader);
  if (stack !== undefined && reader.problems.length === 0) return { stack, problems: [] };
  return { stack: undefined, problems: reader.report() };
}

/** The problems as one error, for callers that show only one. */
export function problemsError(problems: readonly Problem[], file: string): PolykernelError {
  const [
    { path, line, column, message, hint } = { path: '', line: 1, column: 1, message: 'unreadable', hint: undefined },
  ] = problems;
  const rest = problems.length > 1 ? ` (and ${problems.length - 1} more problems)` : '';
  return new PolykernelError(
    'invalid',
    `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}${rest}`,
    {
      field: path,
      hint: hint ?? `See all with \`pk validate -f ${file}\`.`,
    },
  );
}

function readStack(reader: YamlReader, context: StackContext): Stack | undefined {
  const top = reader.top();
  const entries = top && reader.map(top, keysOf(''));
  if (top === undefined || entries === undefined) return undefined;
  const name = entries.get('name');
  const given = name && reader.text(name);
  if (name !== undefined && given !== undefined) reader.attempt(name, () => checkName(given));
  const pool = entries.get('pool');
  const channels = entries.get('channels');
  const services = entries.get('services');
  const kernels = readKernels(reader, top, entries.get('kernels'), context);
  return {
    name: given ?? context.defaultName,
    pool: pool === undefined ? null : (readPool(reader, pool) ?? null),
    kernels,
    channels: channels === undefined ? [] : readChannels(reader, channels),
    services: services === undefined ? [] : readServices(reader, services, kernels),
  };
}

function readKernels(
  reader: YamlReader,
  top: Place,
  place: Place | undefined,
  context: StackContext,
): KernelDefinition[] {
  if (place === undefined) {
    reader.problem(top, 'kernels is missing', 'Name at least one: kernels: {web: {command: [...]}}');
    return [];
  }
  const entries = reader.map(place);
  if (entries === undefined) return [];
  if (entries.size === 0) reader.problem(place, 'must name at least one kernel');
  if (entries.size > MOST_KERNELS) {
    reader.problem(place, `names ${entries.size} kernels; the most is ${MOST_KERNELS}`, 'Make several stacks of them.');
    return [];
  }
  const kernels: KernelDefinition[] = [];
  /** By name, the entry it comes from. */
  const names = new Map<string, string>();
  let exact = 0;
  for (const [name, kernel] of entries) {
    reader.attempt({ ...kernel, offset: kernel.keyOffset }, () => checkInstanceName(name));
    const replicas = readKernel(reader, name, kernel, context);
    if (kernels.length + replicas.length > MOST_KERNELS) {
      reader.problem(kernel, `makes it more than ${MOST_KERNELS} kernels`, 'Make several stacks of them.');
      return [];
    }
    for (const each of replicas) {
      const taken = names.get(each.name);
      if (taken !== undefined)
        reader.problem(kernel, `${each.name} is a name that ${taken} gives already`, 'Choose another name.');
      names.set(each.name, name);
      kernels.push(each);
    }
    const cpus = replicas[0]?.partition?.cpus;
    if (cpus?.kind === 'exact') exact += cpus.cpus.length;
    // Some are asked for twice then, which is told below; reading on would only fill memory.
    if (exact > MAX_CPU + 1) break;
  }
  return kernels;
}

/** Undefined for a pool with a problem, against which no kernel can be held. */
function readPool(reader: YamlReader, place: Place): Stack['pool'] | undefined {
  const before = reader.problems.length;
  const entries = reader.map(place, keysOf('pool'));
  if (entries === undefined) return undefined;
  const [cpus, shared, memory, devices] = ['cpus', 'shared', 'memory', 'devices'].map((key) => entries.get(key));
  if (cpus === undefined)
    reader.problem(place, 'cpus is missing', 'Say which CPUs the host gives up, such as cpus: 2-15.');
  const addresses = devices && reader.list(devices)?.map((item) => readPciAddress(reader, item) ?? '');
  const pool: Stack['pool'] = {
    cpus: (cpus && readCpuList(reader, cpus)) ?? [],
    sharedCpus: (shared && readCpuList(reader, shared)) ?? [],
    memory: (memory && readPoolMemory(reader, memory)) ?? { kind: 'share' },
    devices: addresses ?? [],
  };
  return reader.problems.length === before ? pool : undefined;
}

function readPoolMemory(reader: YamlReader, place: Place): NonNullable<Stack['pool']>['memory'] | undefined {
  if (reader.isMap(place)) {
    const memory = readMemoryPerNode(reader, place);
    return memory && { kind: 'nodes', memory };
  }
  const bytes = readSize(reader, place);
  return bytes === undefined ? undefined : { kind: 'size', bytes };
}
