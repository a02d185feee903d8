/** What a service is: a port of this machine whose connections go to several instances. */
import type { ServiceRequest, TargetChange } from './request.ts';

export type { ServiceRequest, Slo, TargetChange, TargetRequest } from './request.ts';

/** Where instances can be reached; the network of the daemon provides it. */
export interface Endpoints {
  /** Address at which an instance's kernel can be reached now; null when it does not run or has no network. */
  address(instance: string): string | null;
  /** Why services cannot reach instances at all; null where they can. */
  obstacle(): string | null;
  /** File of the network namespace that addresses are reached from; null: this machine's, or there is none yet. */
  namespace(): string | null;
  /** The one that stands by for an instance; null, or nothing that tells: none does. */
  standIn?(instance: string): StandIn | null;
  /** Returns what ends it. */
  onChange(listener: () => void): () => void;
}

/** Another instance that gets what comes to a target while that cannot serve. */
export interface StandIn {
  instance: string;
  /** Its kernel runs, so that it can be asked how it does. */
  isAsked: boolean;
  /** It gets requests; it is known to be well. */
  serves: boolean;
}

export type Balance = 'random2' | 'roundrobin' | 'leastconn';
export type ServiceMode = 'http' | 'tcp';

export interface TargetRecord {
  instance: string;
  port: number;
  weight: number;
  drain: boolean;
}

/** What is kept of a service across daemons. */
export interface ServiceRecord {
  /** 32 lower-case hex digits. */
  id: string;
  name: string;
  /** The stack that made it; null: a person. */
  stack: string | null;
  bind: string;
  port: number;
  mode: ServiceMode;
  balance: Balance;
  check: string | null;
  slo: { latency: { percentile: number; milliseconds: number } | null; availability: number | null };
  targets: readonly TargetRecord[];
  createdAt: string;
  /** Its removal has begun and is to be completed. */
  removing: boolean;
}

/** In milliseconds, of the last minutes; all null when there was no request. */
export interface LatencySummary {
  samples: number;
  p50: number | null;
  p90: number | null;
  p99: number | null;
  p999: number | null;
  max: number | null;
}

/** Since the service was made. */
export interface TrafficTotals {
  requests: number;
  /** Answers with a status of 500 and above; in tcp mode broken connections. */
  errors: number;
  /** Attempts to connect that failed; most were repeated elsewhere. */
  connectErrors: number;
  /** Requests sent again, to this or another instance. */
  retries: number;
}

export interface TargetStatus extends TargetRecord, TrafficTotals {
  address: string | null;
  /** By which it gets requests: balancing may have them go where CPUs are. */
  weightNow: number;
  /**
   * `up`: gets requests. `drained`: gets no new ones, on request or by weight 0. `down`: its health check fails.
   * `checking`: no check has ended yet. `absent`: it does not run or has no network.
   */
  state: 'up' | 'drained' | 'down' | 'checking' | 'absent';
  /** Why it is not up; of one that is, who serves in its place. */
  reason: string | null;
  /** HAProxy sees its own kernel answer. */
  isItself: boolean;
  standIn: StandInStatus | null;
  inFlight: number;
  requestsPerSecond: number;
  latency: LatencySummary;
}

export interface StandInStatus extends Pick<StandIn, 'instance' | 'serves'> {
  answers: boolean;
  inFlight: number;
}

/** What happened within a time. */
export interface BurnWindow {
  window: '5m' | '1h';
  requests: number;
  bad: number;
  /** How many times faster than allowed the error budget is spent: 1 spends it exactly. */
  burnRate: number;
}

export interface ObjectiveStatus {
  kind: 'latency' | 'availability';
  /** `p99 ≤ 20ms`, `availability ≥ 99.9 %`. */
  text: string;
  /** Share of good requests that is promised, below 1. */
  target: number;
  /** `lost` while both windows burn faster than 1; `none` without requests in the last hour. */
  state: 'met' | 'lost' | 'none';
  /** When the state began. ISO 8601 UTC. */
  since: string;
  /** Share of good requests in the last hour; null without requests. */
  attainment: number | null;
  /** Of the last hour: how many bad requests were allowed, how many there were, and which share of the budget is left. */
  budget: { allowed: number; spent: number; left: number };
  burn: readonly BurnWindow[];
}

export interface ProxyStatus {
  pid: number;
  /** How often it died and was started again. */
  restarts: number;
  /** Connections of this service that were cut by that, as far as known. */
  lostConnections: number;
}

export interface ServiceStatus extends Omit<ServiceRecord, 'targets' | 'removing'>, TrafficTotals {
  /** `ok`: every target is up or drained. `degraded`: some are. `down`: none is up. `error`: it is not served; see `fault`. */
  state: 'ok' | 'degraded' | 'down' | 'error';
  fault: string | null;
  targets: readonly TargetStatus[];
  inFlight: number;
  requestsPerSecond: number;
  latency: LatencySummary;
  objectives: readonly ObjectiveStatus[];
  proxy: ProxyStatus | null;
}

/** The services of a daemon, as the API uses them. */
export interface ServiceManager {
  /** By name. */
  list(): Promise<ServiceStatus[]>;
  /** What list() gives, as of the last look at HAProxy: at most a second ago. */
  known(): ServiceStatus[];
  /** Rejects with `not-found`. */
  get(name: string): Promise<ServiceStatus>;
  /** Rejects with `invalid` (`field` names what), `conflict` (name or port taken), `unavailable` (no HAProxy). */
  create(request: ServiceRequest, stack?: string | null): Promise<ServiceStatus>;
  /**
   * Makes the service of that name as asked, without a connection lost unless its target goes; drained targets stay so.
   * Rejects as create(), and with `not-found`; it is then as it was.
   */
  replace(request: ServiceRequest): Promise<ServiceStatus>;
  /** Cuts its connections. Rejects with `not-found`. */
  remove(name: string): Promise<void>;
  /** At once, without any connection lost. Rejects with `not-found`, `invalid`. */
  change(name: string, instance: string, change: TargetChange): Promise<ServiceStatus>;
  /** Cuts the connections that a drained target still has, so that who is there can connect again at once. Rejects with `not-found`. */
  cutDrained(name: string, instance: string): Promise<void>;
  /**
   * Has each target count so many times its weight, once where `times` says nothing, until this is called again or the daemon ends.
   * At once, without any connection lost. Rejects with `not-found`.
   */
  steer(name: string, times: ReadonlyMap<string, number>): Promise<void>;
}
