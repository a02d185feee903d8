/** What people are told of a service: its record, what HAProxy counts, and what was logged, put together. Pure. */
import {
  type Endpoints,
  type ServiceRecord,
  type ServiceStatus,
  type StandIn,
  type StandInStatus,
  type StatRow,
  standInServer,
  type TargetStatus,
  type Traffic,
} from './contract.ts';
import { weightOf } from './service-servers.ts';

export interface ServiceView {
  record: ServiceRecord;
  traffic: Traffic;
  fault: string | null;
  /** As weightOf() has it. */
  steered: ReadonlyMap<string, number>;
  /** What HAProxy last said of its backend. */
  rows: readonly StatRow[];
  proxy: ServiceStatus['proxy'];
}

/** Where instances are, and who stands in for them. */
export type Reach = Pick<Endpoints, 'address' | 'standIn'>;

export function serviceStatus(view: ServiceView, reach: Reach, now: number): ServiceStatus {
  const { record, traffic, fault, proxy } = view;
  const { removing: _removing, ...rest } = record;
  const targets = record.targets.map((target) => targetStatus(view, target, reach, now));
  const serving = targets.filter(({ state }) => state === 'up').length;
  const fine = serving > 0 && targets.every(({ state }) => state === 'up' || state === 'drained');
  const state = fault !== null ? 'error' : serving === 0 ? 'down' : fine ? 'ok' : 'degraded';
  return {
    ...rest,
    ...traffic.whole.totals,
    state,
    fault,
    targets,
    inFlight: traffic.whole.inFlight,
    requestsPerSecond: traffic.whole.perSecond(now),
    latency: traffic.latency(now),
    objectives: traffic.objectives.map((objective) => objective.status(now)),
    proxy,
  };
}

export function targetStatus(
  { traffic, steered, rows }: ServiceView,
  target: ServiceRecord['targets'][number],
  reach: Reach,
  now: number,
): TargetStatus {
  const reached = reach.address(target.instance);
  const other = standInStatus(target, reach.standIn?.(target.instance) ?? null, rows);
  const own = health(target, reached, row(rows, target.instance));
  const counter = traffic.target(target.instance);
  return {
    ...target,
    weightNow: weightOf(target, steered),
    address: reached,
    ...(other?.serves && other.answers && own.state !== 'up' && !target.drain && target.weight > 0
      ? { state: 'up', reason: `${other.instance} serves in its place` }
      : own),
    isItself: own.state === 'up' || own.state === 'drained',
    standIn: other,
    ...counter.totals,
    inFlight: counter.inFlight,
    requestsPerSecond: counter.perSecond(now),
    latency: traffic.latency(now, target.instance),
  };
}

const row = (rows: readonly StatRow[], name: string): StatRow | undefined => rows.find(({ server }) => server === name);

function standInStatus(
  target: ServiceRecord['targets'][number],
  standIn: StandIn | null,
  rows: readonly StatRow[],
): StandInStatus | null {
  if (standIn === null) return null;
  const { instance, serves, isAsked } = standIn;
  const seen = row(rows, standInServer(target.instance));
  const answers = isAsked && health({ ...target, weight: 0, drain: false }, '', seen).state === 'drained';
  return { instance, serves, answers, inFlight: seen?.inFlight ?? 0 };
}

function health(
  { drain, weight }: ServiceRecord['targets'][number],
  reached: string | null,
  row: StatRow | undefined,
): Pick<TargetStatus, 'state' | 'reason'> {
  if (reached === null) return { state: 'absent', reason: 'it does not run, or has no network' };
  if (row === undefined || row.status.startsWith('MAINT')) return { state: 'checking', reason: 'it was not asked yet' };
  if (row.status.startsWith('DOWN')) {
    return row.checkStatus === 'INI'
      ? { state: 'checking', reason: 'it was not asked yet' }
      : { state: 'down', reason: row.checkReason === '' ? 'its health check fails' : row.checkReason };
  }
  if (row.checkStatus === 'INI') return { state: 'checking', reason: 'its first check has not ended' };
  if (drain) return { state: 'drained', reason: 'on request' };
  if (weight === 0) return { state: 'drained', reason: 'its weight is 0' };
  return { state: 'up', reason: null };
}
