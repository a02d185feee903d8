/** What HAProxy is to have of each target, what a running one cannot change, and what is noted of it for a later daemon. */
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Endpoint,
  type Endpoints,
  NO_ADDRESS,
  type SavedTotals,
  type Server,
  type ServerState,
  type ServiceRecord,
} from '../service/index.ts';

const NAMESPACES = '/run/netns';

/** By service: what a running HAProxy cannot change of it, and the namespaces of its servers by name. */
export type Structure = Record<string, { shape: string; namespaces: Record<string, string | null> }>;

/** What a later daemon has to know of the process it takes up. */
export interface Notes {
  pid: number;
  startTime: number;
  structure: Structure;
  restarts: number;
  /** By id of the service: what was counted before this process. */
  totals: Record<string, { totals: SavedTotals; lostConnections: number }>;
}

/** Where an instance can be reached; null also while its namespace is not there. */
export function reach(endpoints: Endpoints, instance: string): Endpoint | null {
  const found = endpoints.endpoint(instance);
  if (found === null || found.address === NO_ADDRESS) return null;
  return found.namespace === null || namespaceKey(found.namespace) !== null ? found : null;
}

/** `running`: of the process that runs. */
export function serversOf({ name, targets }: ServiceRecord, endpoints: Endpoints, running: Structure): Server[] {
  const known = running[name]?.namespaces;
  return targets.map(({ instance, port, weight, drain }) => {
    const reached = reach(endpoints, instance);
    // One that is away for a while keeps its namespace, for which HAProxy would have to be replaced.
    const kept = reached === null ? stillThere(known?.[instance] ?? null) : null;
    return {
      name: instance,
      address: reached?.address ?? null,
      namespace: reached?.namespace ?? kept,
      port,
      weight: drain ? 0 : weight,
    };
  });
}

export function structureOf(records: readonly ServiceRecord[], endpoints: Endpoints, running: Structure): Structure {
  return Object.fromEntries(
    records.map((record) => {
      const { id, name, bind, port, mode, balance, check } = record;
      const known = running[name]?.namespaces;
      const namespaces = Object.fromEntries(
        serversOf(record, endpoints, running).map((server) => {
          // The running one will do for a server that is not used.
          if (server.address === null && known !== undefined) return [server.name, known[server.name] ?? null];
          return [server.name, server.namespace === null ? null : namespaceKey(server.namespace)];
        }),
      );
      return [name, { shape: JSON.stringify([id, bind, port, mode, balance, check]), namespaces }];
    }),
  );
}

/** Commands that bring the servers of a service from `states`, by `backend/server`, to `servers`. */
export function adjustments(
  service: string,
  servers: readonly Server[],
  states: ReadonlyMap<string, ServerState>,
): string[] {
  return servers.flatMap(({ name, address, port, weight }) => {
    const server = `${service}/${name}`;
    const state = states.get(server);
    if (state === undefined) return [];
    const commands: string[] = [];
    const moved = address !== null && (state.address !== address || state.port !== port);
    if (address === null && !state.maintenance) commands.push(`state maint`);
    if (moved) commands.push(`addr ${address} port ${port}`);
    if (state.weight !== weight) commands.push(`weight ${weight}`);
    if (address !== null && state.maintenance) commands.push('state ready');
    // Its first check says whether it is up.
    if (moved || (address !== null && state.maintenance)) commands.push('health down');
    return commands.map((command) => `set server ${server} ${command}`);
  });
}

export function readNotes(path: string): Notes | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Notes;
  } catch {
    return undefined;
  }
}

export function writeNotes(path: string, notes: Notes): void {
  writeFileSync(`${path}.new`, JSON.stringify(notes), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Tells a namespace from a later one of the same name; null when there is none. */
function namespaceKey(name: string): string | null {
  const inode = statSync(join(NAMESPACES, name), { throwIfNoEntry: false })?.ino;
  return inode === undefined ? null : `${name}@${inode}`;
}

/** The name in a key, while that namespace is there. */
function stillThere(key: string | null): string | null {
  const name = key?.slice(0, key.lastIndexOf('@'));
  return name !== undefined && namespaceKey(name) === key ? name : null;
}
