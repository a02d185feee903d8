/** Watches how instances do: a look a second at what was read anyway, and the checks that workloads bring along. */
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import type { HostUsage, Kernel, KernelWord } from '../driver/index.ts';
import type { Trouble } from '../guest/index.ts';
import type { Instance, InstanceRecord, Instances } from '../instance/contract.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { Beat } from './beat.ts';
import { WorkloadCheck } from './check.ts';
import type { HealthEvent } from './events.ts';
import { type Facts, isLoss, type Judgement, judge, type KernelTrouble, type SeenWord } from './judge.ts';
import type { HealthStatus } from './types.ts';

const LOOK_MS = 1_000;
/** How long memory that did not suffice is held against a kernel, and other trouble that its kernel tells of, again and again as long as it lasts. */
const OOM_LOOKS = 60;
const TROUBLE_LOOKS = 90;
/** How long a kernel that writes down the memory of another may take. */
const DUMPING_LOOKS = 1_800;
/** What its agent has said before that is heard by then. */
const LATE_LOOKS = 2;
const WATCHDOG_LOOKS = 15;

export interface MonitorOptions {
  instances(): Pick<Instances, 'list' | 'find' | 'get'>;
  /** What was last read of an instance anyway; undefined when nothing of it runs. */
  seen(id: string): { usage: HostUsage | undefined; oomKills: number | null } | undefined;
  /** The signs for an instance's health are others than before. */
  changed?(name: string): void;
  events: Pick<EventLog, 'tell' | 'listen'>;
  clock: Clock;
  journal: Journal;
}

/** A kernel that runs. */
interface Watched {
  kernel: Kernel;
  beat: Beat;
  check: WorkloadCheck;
  oomKills: number | null;
  oom: { count: number; sinceMs: number; looks: number } | undefined;
  /** Of the last process that its kernel killed for want of memory. */
  killed: string | undefined;
  troubles: Map<Trouble['kind'], KernelTrouble & { looks: number }>;
  lost: Facts['lost'];
  /** `heard`: of its agent, once what was on its way has arrived. */
  dumping: (SeenWord & { looks: number; heard?: number }) | undefined;
  watchdog: (SeenWord & { looks: number }) | undefined;
}

interface Entry {
  watched: Watched | undefined;
  judgement: Judgement;
  since: string;
  acknowledged: boolean;
  /** As its loss was told, or was known; undefined once that it is well again was told. */
  loss: string | undefined;
}

/** INVARIANTS: reads nothing of the host and asks nothing of guests but their own checks; without a kernel there is no timer. */
export class HealthMonitor {
  readonly #options: MonitorOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #stopListening: () => void;
  #cancelLook: (() => void) | undefined;
  #closed = false;

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#stopListening = options.events.listen(({ type, name, id }) => {
      if (type === 'removed') this.#entries.delete(id);
      else if (type === 'crashed' || type === 'exited' || type === 'stuck')
        this.#lookAt(options.instances().find(name));
    });
  }

  /** A kernel is ready or was found again: it is watched until it ends. */
  kernelUp({ id }: Pick<InstanceRecord, 'id'>, kernel: Kernel): void {
    const { clock } = this.#options;
    const watched: Watched = {
      kernel,
      beat: new Beat(clock.now()),
      check: new WorkloadCheck(kernel, clock),
      oomKills: null,
      oom: undefined,
      killed: undefined,
      troubles: new Map(),
      ...{ lost: undefined, dumping: undefined, watchdog: undefined },
    };
    kernel.guest.on('trouble', (trouble) => this.#hear(id, watched, trouble));
    const entry = this.#entry(id);
    entry.watched = watched;
    kernel.heed?.((word) => this.#heed(id, watched, word));
    void kernel.exited.then(() => {
      if (entry.watched === watched) entry.watched = undefined;
    });
    this.#arm();
  }

  list(): HealthStatus[] {
    return this.#options
      .instances()
      .list()
      .map((instance) => this.#statusOf(instance));
  }

  find(name: string): HealthStatus | undefined {
    const instance = this.#options.instances().find(name);
    return instance && this.#statusOf(instance);
  }

  /** By name or id. Throws `not-found`. */
  get(name: string): HealthStatus {
    return this.#statusOf(this.#options.instances().get(name));
  }

  /** Somebody knows of it: what is over, but still held against it, is so no more. Throws `not-found`. */
  acknowledge(name: string): HealthStatus {
    const instance = this.#options.instances().get(name);
    const entry = this.#entry(instance.record.id);
    if (entry.watched !== undefined) entry.watched.oom = undefined;
    entry.watched?.troubles.clear();
    this.#lookAt(instance);
    entry.acknowledged = entry.judgement.health !== 'healthy' && entry.judgement.health !== 'unknown';
    return this.#statusOf(instance);
  }

  /** Takes back that somebody knows of it. Throws `not-found`. */
  disown(name: string): void {
    this.#entry(this.#options.instances().get(name).record.id).acknowledged = false;
  }

  close(): void {
    this.#closed = true;
    this.#stopListening();
    this.#cancelLook?.();
    this.#entries.clear();
  }

  #entry(id: string): Entry {
    const known = this.#entries.get(id);
    if (known !== undefined) return known;
    const since = timestamp(this.#options.clock);
    const judgement: Judgement = { health: 'unknown', signs: [] };
    const entry: Entry = { watched: undefined, judgement, since, acknowledged: false, loss: undefined };
    this.#entries.set(id, entry);
    return entry;
  }

  #arm(): void {
    if (this.#cancelLook !== undefined || this.#closed) return;
    this.#cancelLook = this.#options.clock.after(LOOK_MS, () => {
      this.#cancelLook = undefined;
      if (![...this.#entries.values()].some(({ watched }) => watched !== undefined)) return;
      this.#arm();
      try {
        for (const instance of this.#options.instances().list()) this.#look(instance);
      } catch (error) {
        this.#options.journal.error('looking at how instances do', error);
      }
    });
  }

  #look(instance: Instance): void {
    const { id, spec } = instance.record;
    const watched = this.#entries.get(id)?.watched;
    if (watched === undefined) return;
    const { beat, check, kernel } = watched;
    if (instance.state !== 'running') beat.pause();
    else {
      const atMs = this.#options.clock.now();
      const seen = this.#options.seen(id);
      beat.look({ atMs, heard: kernel.guest.heard, beats: kernel.beats?.(), usage: seen?.usage });
      lookAtWords(watched);
      this.#lookAtMemory(watched, seen?.oomKills ?? null, atMs);
      if (beat.verdict !== 'hung') check.look(spec, LOOK_MS, () => instance.state === 'running' && !beat.isDoubtful);
    }
    this.#lookAt(instance);
  }

  /** At once, not with the next look. */
  #hear(id: string, watched: Watched, trouble: Trouble): void {
    if (this.#closed || this.#entries.get(id)?.watched !== watched) return;
    if (trouble.kind === 'out-of-memory') {
      // How often that was is read with its numbers.
      watched.killed = trouble.text;
      return;
    }
    const known = watched.troubles.get(trouble.kind);
    const sinceMs = known?.sinceMs ?? this.#options.clock.now();
    watched.troubles.set(trouble.kind, { ...trouble, sinceMs, looks: TROUBLE_LOOKS });
    // What it says of one that is known counts with the next look, however often it says it.
    if (known === undefined) this.#lookAt(this.#byId(id));
  }

  #heed(id: string, watched: Watched, { sign, text }: KernelWord): void {
    if (this.#closed || this.#entries.get(id)?.watched !== watched) return;
    const word = { text, sinceMs: this.#options.clock.now() };
    const isNew = (sign === 'watchdog' || sign === 'dumping' ? watched[sign] : watched.lost) === undefined;
    if (sign === 'watchdog') watched.watchdog = { ...word, looks: WATCHDOG_LOOKS };
    else if (sign === 'dumping') watched.dumping ??= { ...word, looks: DUMPING_LOOKS };
    // The first is as it began.
    else watched.lost ??= { ...word, sign };
    // As with what the guest says: of what is known it counts with the next look.
    if (isNew) this.#lookAt(this.#byId(id));
  }

  #byId(id: string): Instance | undefined {
    return this.#options
      .instances()
      .list()
      .find(({ record }) => record.id === id);
  }

  #lookAtMemory(watched: Watched, kills: number | null, atMs: number): void {
    const { oom, troubles } = watched;
    for (const [kind, trouble] of troubles) if (--trouble.looks === 0) troubles.delete(kind);
    if (oom !== undefined && --oom.looks === 0) watched.oom = undefined;
    if (kills === null) return;
    const more = kills - (watched.oomKills ?? kills);
    watched.oomKills = kills;
    if (more <= 0) return;
    watched.oom = { count: (oom?.count ?? 0) + more, sinceMs: oom?.sinceMs ?? atMs, looks: OOM_LOOKS };
  }

  /** Judges anew, and tells of it when that is another health, unless it `isKnown`. Of a paused one nothing new is known. */
  #lookAt(instance: Instance | undefined, isKnown = false): void {
    if (instance === undefined || this.#closed || instance.state === 'paused') return;
    const { id, spec, machine } = instance.record;
    const entry = this.#entry(id);
    const { watched, judgement: before } = entry;
    const check = watched && spec.healthCommand !== null ? watched.check : null;
    const now = judge({
      state: instance.state,
      exit: machine.exit,
      ending: machine.ending,
      beat: watched?.beat,
      ...{ lost: watched?.lost, dumping: watched?.dumping, watchdog: watched?.watchdog },
      oom: watched?.oom && { ...watched.oom, last: watched.killed },
      troubles: [...(watched?.troubles.values() ?? [])],
      check: check && {
        failures: check.failures,
        retries: spec.healthRetries,
        passed: check.hasPassed,
        since: check.failingSince,
        seen: seenOf(check),
      },
    });
    entry.judgement = now;
    if (now.health !== before.health) this.#news(instance, entry, isKnown);
    const differ = kindsOf(now) !== kindsOf(before) || now.health !== before.health;
    if (differ && !isKnown) this.#options.changed?.(instance.name);
  }

  #news(instance: Instance, entry: Entry, isKnown: boolean): void {
    const { judgement: now } = entry;
    entry.since = (isKnown && now.signs[0]?.since) || timestamp(this.#options.clock);
    entry.acknowledged = false;
    const why = `${now.health}: ${now.signs.map(({ seen }) => seen).join('; ')}`;
    if (isLoss(now.health)) {
      entry.loss = why;
      if (!isKnown) this.#tell('health-lost', instance, why);
    } else if (entry.loss !== undefined && now.health === 'healthy') {
      this.#tell('health-regained', instance, `was ${entry.loss}`);
      entry.loss = undefined;
    }
  }

  #tell(type: HealthEvent, { name, record }: Instance, message: string): void {
    this.#options.events.tell({ at: timestamp(this.#options.clock), type, name, id: record.id, message });
  }

  #statusOf(instance: Instance): HealthStatus {
    const { id, spec } = instance.record;
    const known = this.#entries.get(id);
    // Those that an earlier daemon saw end were never looked at by this one.
    if (known?.watched === undefined) this.#lookAt(instance, true);
    const { judgement, since, acknowledged, watched } = this.#entry(id);
    const { healthCommand: command } = spec;
    return {
      name: instance.name,
      id,
      state: instance.state,
      possible: [...(instance.driver.traits.signs ?? [])],
      ...{ health: judgement.health, since, acknowledged, signs: judgement.signs },
      check:
        command === null
          ? null
          : { command, failures: watched?.check.failures ?? 0, results: [...(watched?.check.results ?? [])] },
    };
  }
}

/** Another look: a kernel that is heard again was not replaced by one that writes its memory down. */
function lookAtWords(watched: Watched): void {
  const { dumping, watchdog, kernel } = watched;
  if (watchdog !== undefined && --watchdog.looks === 0) watched.watchdog = undefined;
  if (dumping === undefined) return;
  dumping.looks -= 1;
  const { heard } = kernel.guest;
  if (dumping.looks === DUMPING_LOOKS - LATE_LOOKS) dumping.heard = heard;
  if (dumping.looks === 0 || (dumping.heard ?? heard) !== heard) watched.dumping = undefined;
}

const kindsOf = ({ signs }: Judgement): string => signs.map(({ sign }) => sign).join();

/** What the last check that failed had to say, in short. */
function seenOf({ results }: WorkloadCheck): string {
  const last = results.findLast(({ outcome }) => outcome === 'failed');
  const code = last?.exitCode == null ? '' : `exit code ${last.exitCode}`;
  const said = last?.output.trim().split('\n')[0]?.slice(0, 200) ?? '';
  return [code, said].filter(Boolean).join(', ') || 'no words';
}
