/** The kernels of a stack file, replicas apart. */
import type { Place, YamlReader } from '../core/yaml-reader.ts';
import { MAX_CPU } from '../sys/cpu-list.ts';
import type { KernelDefinition, StackContext } from './definition.ts';
import { checkInstanceName } from './name.ts';
import { readKernel } from './parse-kernel.ts';

/** More than one host has ever been asked to run, and few enough that reading them takes no time to speak of. */
const MOST_KERNELS = 4096;

export function readKernels(
  reader: YamlReader,
  top: Place,
  place: Place | undefined,
  context: StackContext,
  hasPool: boolean,
): KernelDefinition[] {
  if (place === undefined) {
    reader.problem(top, 'kernels is missing', 'Name at least one: kernels: {web: {command: [...]}}');
    return [];
  }
  const entries = reader.map(place);
  if (entries === undefined) return [];
  if (entries.size === 0 && !hasPool) reader.problem(place, 'must name at least one kernel, where there is no pool');
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
