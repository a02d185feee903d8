/** What HAProxy is to have of each target, what a running one cannot change, and what is noted of it for a later daemon. */
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import {
  type Endpoints,
  type SavedTotals,
  type Server,
  type ServerState,
  type ServiceRecord,
  standInServer,
  type TargetRecord,
} from './contract.ts';

/** What a running HAProxy cannot change. */
export interface Structure {
  /** Tells the namespace it runs in from a later one of the same name; null: this machine's. */
  namespace: string | null;
  /** By service. */
  shapes: Record<string, string>;
}

export const NO_STRUCTURE: Structure = { namespace: null, shapes: {} };

/** What a later daemon has to know of the process it takes up. */
export interface Notes {
  pid: number;
  startTime: number;
  structure: Structure;
  restarts: number;
  /** By id of the service: what was counted before this process. */
  totals: Record<string, { totals: SavedTotals; lostConnections: number }>;
}

/** Of HAProxy. */
const MOST_WEIGHT = 256;

/** `steered`: how many times its weight a target counts now; once where it says nothing. */
export function weightOf({ instance, weight, drain }: TargetRecord, steered: ReadonlyMap<string, number>): number {
  if (drain || weight === 0) return 0;
  return Math.min(MOST_WEIGHT, Math.max(1, Math.round(weight * (steered.get(instance) ?? 1))));
}

export function serversOf(
  { targets }: ServiceRecord,
  endpoints: Endpoints,
  steered: ReadonlyMap<string, number>,
): Server[] {
  return targets.flatMap((target): Server[] => {
    const { instance, port } = target;
    const own = { name: instance, address: endpoints.address(instance), port, weight: weightOf(target, steered) };
    const standIn = endpoints.standIn?.(instance) ?? null;
    if (standIn === null) return [own];
    const { isAsked, serves } = standIn;
    const address = isAsked ? endpoints.address(standIn.instance) : null;
    return [own, { name: standInServer(instance), address, port, weight: serves ? own.weight : 0, isWell: serves }];
  });
}

export function structureOf(records: readonly ServiceRecord[], endpoints: Endpoints): Structure {
  const shapes = records.map(({ name, id, bind, port, mode, balance, check, targets }) => {
    const servers = targets.flatMap(({ instance }) =>
      (endpoints.standIn?.(instance) ?? null) === null ? [instance] : [instance, standInServer(instance)],
    );
    return [name, JSON.stringify([id, bind, port, mode, balance, check, servers])] as const;
  });
  return { namespace: namespaceKey(endpoints.namespace()), shapes: Object.fromEntries(shapes) };
}

/**
 * Commands that bring the servers of a service from `states`, by `backend/server`, to `servers`. First come those by which servers get
 * requests, last those by which they get none: HAProxy answers requests between two commands, and on a busy machine it is long between them.
 */
export function adjustments(
  service: string,
  servers: readonly Server[],
  states: ReadonlyMap<string, ServerState>,
): string[] {
  const all = servers.flatMap((server) => {
    const state = states.get(`${service}/${server.name}`);
    return state === undefined ? [] : [{ server, ...adjustmentsOf(server, state) }];
  });
  return [...all.filter(({ loses }) => !loses), ...all.filter(({ loses }) => loses)].flatMap(({ server, commands }) =>
    commands.map((command) => `set server ${service}/${server.name} ${command}`),
  );
}

/** `loses`: whether it gets no requests from then on, or none for a while. */
function adjustmentsOf(server: Server, state: ServerState): { commands: string[]; loses: boolean } {
  const { address, port, weight, isWell = false } = server;
  const commands: string[] = [];
  const moved = hasMoved(server, state);
  if (address === null && !state.maintenance) commands.push(`state maint`);
  if (moved) commands.push(`addr ${address} port ${port}`);
  if (state.weight !== weight) commands.push(`weight ${weight}`);
  if (address !== null && state.maintenance) commands.push('state ready');
  // Its first check says whether it is up.
  if (comes(server, state)) commands.push(isWell ? 'health up' : 'health down');
  return { commands, loses: address === null || weight === 0 || (moved && !isWell) };
}

const hasMoved = ({ address, port }: Server, state: ServerState): boolean =>
  address !== null && (state.address !== address || state.port !== port);

/** Whether it can be reached, where it could not be until now. */
export const comes = (server: Server, state: ServerState): boolean =>
  server.address !== null && (state.maintenance || hasMoved(server, state));

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

function namespaceKey(file: string | null): string | null {
  const inode = file === null ? undefined : statSync(file, { throwIfNoEntry: false })?.ino;
  return inode === undefined ? null : `${file}@${inode}`;
}
