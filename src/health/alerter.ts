/**
 * Tells somebody outside when an instance is not well, and when it is again.
 *
 * INVARIANT: one alert is under way at a time, each for a bounded time; so many wait, and no more than that are sent a minute: what
 * is beyond is dropped and counted. Nothing here delays anything else. A guest can have its health go and come as it likes: it takes
 * the place of its own alerts, not those of others.
 */
import type { DaemonEvent, EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import { type AlertTarget, webHook } from './alert-target.ts';
import type { HealthEvent } from './events.ts';
import type { AlertStatus, HealthStatus } from './types.ts';

const TOLD: ReadonlySet<string> = new Set(['health-lost', 'health-regained', 'crash-loop', 'stuck'] satisfies (
  | HealthEvent
  | 'crash-loop'
  | 'stuck'
)[]);
const WAITING = 32;
const A_MINUTE = 30;
const MINUTE_MS = 60_000;
/** Of each instance, whatever others have told: that it is not well, and that it is again. */
const EACH = 2;
const REMEMBERED = 256;

export interface AlerterOptions {
  kept: { get(): AlertTarget | null; put(value: AlertTarget | null): void };
  deliver(target: AlertTarget, alert: string, signal: AbortSignal): Promise<void>;
  healthOf(name: string): HealthStatus | undefined;
  events: Pick<EventLog, 'tell' | 'listen'>;
  clock: Clock;
  journal: Journal;
}

export class Alerter {
  readonly #options: AlerterOptions;
  readonly #stopListening: () => void;
  readonly #ending = new AbortController();
  #target: AlertTarget | null;
  #waiting: DaemonEvent[] = [];
  #isSending = false;
  /** Those that were taken in the last minute. */
  #recent: { id: string; atMs: number }[] = [];
  /** Of which instances alerts were sent last. */
  #order: readonly string[] = [];
  #counts = { sent: 0, failed: 0, dropped: 0 };
  #failure: string | null = null;

  constructor(options: AlerterOptions) {
    this.#options = options;
    this.#target = options.kept.get();
    this.#stopListening = options.events.listen((event) => {
      if (TOLD.has(event.type)) this.#add(event);
    });
  }

  status(): AlertStatus {
    const { command = null, url = null } = this.#target ?? {};
    return { command: command && [...command], url, ...this.#counts, failure: this.#failure };
  }

  /** Without either nobody is told. Throws `invalid`. */
  set({ command, url }: AlertTarget): AlertStatus {
    if (command !== undefined && url !== undefined)
      throw new PolykernelError('invalid', 'an alert goes to a program or to a web hook', { field: 'url', value: url });
    if (command !== undefined && !command[0]!.startsWith('/'))
      throw new PolykernelError('invalid', `${JSON.stringify(command[0])} is no absolute path of a program`, {
        field: 'command',
        value: command[0],
        hint: 'Say where it is, such as /usr/local/bin/page.',
      });
    if (url !== undefined) webHook(url);
    const target = command === undefined && url === undefined ? null : { command, url };
    this.#options.kept.put(target);
    this.#target = target;
    this.#failure = null;
    if (target === null) this.#waiting = [];
    return this.status();
  }

  close(): void {
    this.#ending.abort();
    this.#stopListening();
    this.#waiting = [];
  }

  #add(event: DaemonEvent): void {
    if (this.#target === null) return;
    const nowMs = this.#options.clock.now();
    this.#recent = this.#recent.filter(({ atMs }) => atMs <= nowMs && nowMs - atMs < MINUTE_MS);
    if (isOver(this.#waiting, WAITING, event) || isOver(this.#recent, A_MINUTE, event)) {
      this.#counts.dropped += 1;
      return;
    }
    this.#recent.push({ id: event.id, atMs: nowMs });
    this.#waiting.push(event);
    void this.#send();
  }

  /** All that waits. Never rejects. */
  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    for (let event = this.#next(); event !== undefined; event = this.#next()) {
      const target = this.#target;
      if (target === null) break;
      try {
        await this.#options.deliver(target, this.#text(event), this.#ending.signal);
        this.#counts.sent += 1;
        this.#failure = null;
      } catch (error) {
        if (this.#ending.signal.aborted) break;
        this.#failed(event, error);
      }
    }
    this.#isSending = false;
  }

  /** Of the instance whose last one was sent longest ago. */
  #next(): DaemonEvent | undefined {
    const turns = this.#waiting.map(({ id }) => this.#order.lastIndexOf(id));
    const [event] = this.#waiting.splice(turns.indexOf(Math.min(...turns)), 1);
    if (event !== undefined) this.#order = [...this.#order, event.id].slice(-REMEMBERED);
    return event;
  }

  #text({ at, type, name, id, message }: DaemonEvent): string {
    const status = this.#options.healthOf(name);
    const health = status === undefined ? {} : { health: status.health, signs: status.signs };
    return `${JSON.stringify({ at, type, name, id, message, ...health })}\n`;
  }

  /** The first of several is told. */
  #failed({ name, id }: DaemonEvent, error: unknown): void {
    const { events, clock, journal } = this.#options;
    const message = error instanceof Error ? error.message : String(error);
    this.#counts.failed += 1;
    journal.error('sending an alert', error);
    if (this.#failure === null) events.tell({ at: timestamp(clock), type: 'alert-failed', name, id, message });
    this.#failure = message;
  }
}

type Told = Pick<DaemonEvent, 'id'>;

const countOf = (all: readonly Told[], { id }: Told): number => all.filter((each) => each.id === id).length;

/** Whether there are so many already, and enough of the same instance among them. */
const isOver = (all: readonly Told[], most: number, event: Told): boolean =>
  all.length >= most && countOf(all, event) >= EACH;
