/** What would make an instance as one is: the way back from a spec to a request. */
import { fieldRows } from './fields.ts';
import { TOOLS } from './resolve.ts';
import type { CreateRequest } from './schema.ts';
import type { InstanceSpec } from './spec.ts';

export function requestOf(spec: InstanceSpec): CreateRequest {
  const { name, command, cwd, cwdOptional, user, driver, root, attached, autoRemove, tty, merged, rows, columns } =
    spec;
  const fields = Object.fromEntries(fieldRows.flatMap(([key]) => (spec[key] === null ? [] : [[key, spec[key]]])));
  const { cpus, memoryBytes, partition } = spec;
  const elastic = {
    ...(spec.elastic?.cpus && { cpus: spec.elastic.cpus }),
    ...(spec.elastic?.memoryBytes && { memoryBytes: spec.elastic.memoryBytes }),
  };
  const { PATH = '', ...env } = spec.env;
  return {
    ...fields,
    ...{
      name,
      command: [...command],
      cwd,
      cwdOptional,
      user,
      driver,
      root,
      attached,
      autoRemove,
      tty,
      merged,
      rows,
      columns,
    },
    env: { ...env, PATH: PATH.endsWith(`:${TOOLS}`) ? PATH.slice(0, -TOOLS.length - 1) : PATH },
    ...(partition === null ? { cpus, memoryBytes } : { partition }),
    ...(spec.elastic !== null && { elastic }),
    volumes: spec.volumes.map((volume) => ({ ...volume })),
    publish: spec.publish.map((port) => ({ ...port })),
    channels: spec.channels.map((channel) => ({ ...channel })),
  };
}
