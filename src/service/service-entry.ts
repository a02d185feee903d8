/** One service of a daemon: its record, what was counted of it, and what of that was told. */

import type { EventLog } from '../core/events.ts';
import { type Counts, frontendOf, type ServiceRecord, type ServiceStatus, type StatRow, Traffic } from './contract.ts';
import type { Notes } from './service-servers.ts';
import { type Reach, type ServiceView, serviceStatus, targetStatus } from './service-status.ts';

export type News = Pick<Parameters<EventLog['tell']>[0], 'type' | 'message'>;

export class ServiceEntry {
  readonly traffic: Traffic;
  /** Why it is not served. */
  fault: string | null = null;
  /** How many times its weight each target counts now. */
  steered: ReadonlyMap<string, number> = new Map();
  #record: ServiceRecord;
  #rows: readonly StatRow[] = [];
  /** Connections at the last look. */
  #connections = 0;
  #lostConnections: number;
  /** Of them, those that nobody was told of yet. */
  #cut = 0;
  /** State last seen of each target. */
  readonly #told = new Map<string, string>();

  /** `before`: what was counted by processes that have ended. */
  constructor(record: ServiceRecord, now: number, before?: Notes['totals'][string]) {
    this.#record = record;
    this.traffic = new Traffic(record, now, before?.totals);
    this.#lostConnections = before?.lostConnections ?? 0;
  }

  get record(): ServiceRecord {
    return this.#record;
  }

  become(record: ServiceRecord, now: number): void {
    this.#record = record;
    this.traffic.become(record, now);
  }

  /** Takes what each process of HAProxy counts; `current`: the one that takes new connections. */
  observe(counts: readonly Counts[], current: number | undefined, now: number): void {
    const { name } = this.#record;
    for (const { pid, rows, last } of counts) {
      const own = rows.filter(({ proxy }) => proxy === name);
      this.traffic.observe(pid, own);
      if (last) this.traffic.settle(pid);
      if (pid !== current) continue;
      this.#rows = own;
      this.#connections = rows.find(({ proxy }) => proxy === frontendOf(name))?.inFlight ?? 0;
    }
    this.traffic.sample(now);
  }

  /** The process is gone, and every connection with it. */
  lose(pid: number): void {
    this.#cut += this.#connections;
    this.#lostConnections += this.#connections;
    this.#connections = 0;
    this.#rows = [];
    this.traffic.settle(pid);
  }

  /** Connections lost since the last call. */
  takeCut(): number {
    const cut = this.#cut;
    this.#cut = 0;
    return cut;
  }

  /** What changed of its targets and promises since the last call. */
  news(reach: Reach, now: number): News[] {
    const view = this.#view(null);
    const news: News[] = [];
    for (const target of this.#record.targets) {
      const { instance } = target;
      const { state, reason } = targetStatus(view, target, reach, now);
      const before = this.#told.get(instance);
      if (state === before || state === 'checking') continue;
      this.#told.set(instance, state);
      if (isServed(state) && !isServed(before)) news.push({ type: 'target-up', message: instance });
      else if (!isServed(state) && isServed(before))
        news.push({ type: 'target-down', message: `${instance}: ${reason}` });
    }
    for (const objective of this.traffic.objectives) {
      const judged = objective.judge(now);
      if (judged !== undefined) news.push({ type: `slo-${judged}`, message: objective.evidence(now) });
    }
    return news;
  }

  /** `process`: the HAProxy that serves it; null: none does. */
  status(process: { pid: number; restarts: number } | null, reach: Reach, now: number): ServiceStatus {
    return serviceStatus(this.#view(process), reach, now);
  }

  /** For a later daemon, which takes up this process. */
  save(pid: number): Notes['totals'][string] {
    return { totals: this.traffic.save(pid), lostConnections: this.#lostConnections };
  }

  #view(process: { pid: number; restarts: number } | null): ServiceView {
    const fault = this.fault ?? (process === null ? 'HAProxy does not run; it is being started' : null);
    const proxy = process === null ? null : { ...process, lostConnections: this.#lostConnections };
    const { traffic, steered } = this;
    return { record: this.#record, traffic, fault, steered, rows: this.#rows, proxy };
  }
}

const isServed = (state: string | undefined): boolean => state === 'up' || state === 'drained';
