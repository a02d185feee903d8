/** From an instance to one like it that can run beside it and touches nothing of its own. Pure. */
import type { CreateRequest, InstanceSpec } from '../instance/contract.ts';
import { TRIAL_LABEL } from './record.ts';

/** What a clone is given besides. */
export interface CloneOptions {
  trial: string;
  /** Which of the trial's it is: their names differ by it. */
  index: number;
  /** The clones are to reach each other, and nobody else. */
  network: boolean;
  /** A directory of its own on a disk of this machine, and where its kernel sees it. */
  disk?: { source: string; target: string } | undefined;
}

/** The request, and in what the clone differs from the original, for people. */
export function cloneOf(spec: InstanceSpec, options: CloneOptions): { request: CreateRequest; notes: string[] } {
  const { trial, index, disk } = options;
  const notes: string[] = [];
  const note = (isSo: boolean, text: string) => void (isSo && notes.push(`${spec.name}: ${text}`));
  const written = spec.volumes.filter(({ readOnly }) => !readOnly);
  note(written.length > 0, `its clone may only read ${written.map(({ target }) => target).join(', ')}`);
  note(spec.channels.length > 0, 'its clone has no channels');
  note(spec.publish.length > 0, 'no ports lead to its clone');
  note(spec.network !== 'none' && !options.network, 'its clone has no network');
  note(spec.network === 'egress' && options.network, 'its clone does not get out of the private network');
  note(spec.partition !== null, 'its clone owns no CPUs and runs on those of the host');
  const { append, initrd, healthCommand, image, tenant: _, ...fields } = plainFields(spec);
  const volumes = spec.volumes.map(({ source, target }) => ({ source, target, readOnly: true }));
  const request: CreateRequest = {
    ...fields,
    ...(healthCommand === null ? {} : { healthCommand }),
    ...(append === null ? {} : { append }),
    ...(initrd === null ? {} : { initrd }),
    ...{ name: cloneName(trial, index, spec.name), image },
    ...{
      command: [...spec.command],
      env: { ...spec.env },
      cwd: spec.cwd,
      cwdOptional: spec.cwdOptional,
      user: spec.user,
    },
    ...{ driver: spec.driver, cpus: spec.cpus, memoryBytes: spec.memoryBytes, root: spec.root },
    volumes: disk === undefined ? volumes : [...volumes, disk],
    network: options.network ? 'private' : 'none',
    // Only instances of one tenant meet: these are strangers to all others.
    tenant: `trial-${trial}`,
    restart: 'no',
    labels: { ...spec.labels, [TRIAL_LABEL]: trial },
    start: false,
  };
  return { request, notes };
}

function plainFields(spec: InstanceSpec) {
  const { image, tenant, hostname, readyTimeoutMs, stopGraceMs, append, initrd, cold, healthCommand } = spec;
  const { healthIntervalMs, healthTimeoutMs, healthRetries, healthStartPeriodMs } = spec;
  const health = { healthCommand, healthIntervalMs, healthTimeoutMs, healthRetries, healthStartPeriodMs };
  return { image, tenant, hostname, readyTimeoutMs, stopGraceMs, append, initrd, cold, ...health };
}

/** As much of the name as a name has room for. */
const cloneName = (trial: string, index: number, name: string): string =>
  `trial-${trial}-${index}-${name}`.slice(0, 63).replace(/-+$/, '');
