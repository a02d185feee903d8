/**
 * Whether a kernel says something, and if not, whose fault that is. Counted in looks and not by a clock: a daemon that got no time,
 * or a machine that slept, makes no guest late. Pure.
 */
import type { HostUsage } from '../driver/index.ts';

/** Looks in a row at which nothing new was heard; a guest that is well says something at every third one, when its clock is asked for, or more often. */
const SILENT = 3;
/** With these one is hung that had so much of the time: one that does something is asked for its numbers twice a second. */
const SILENT_BUSY = 2;
/** One that hung when it was last heard, of which the host was last asked half a second before each look, was seen to run three quarters of it at most. */
const BUSY_SHARE = 0.65;
/** With these one is hung whatever its vCPUs did. */
const SILENT_IDLE = 10;
/** Beats apart from the line that came so many looks ago still count. */
const BEATLESS = 2;
/** A line that is silent for so long, while what is apart from it goes on, is told of. */
const SILENT_LINE = 30;
/** A look that comes so late says nothing: the daemon itself got no time, or the clock was set. */
const LATE_MS = 2_500;
/** CPU time within which any kernel has answered. */
const ENOUGH_NS = 2e9;
/** Of a silence, a vCPU that waited so much of it lacks time. */
const WAITED_SHARE = 0.25;
/** Starvation of one that answers still: over so long, so much of it spent waiting, and more than it ran. It ends below the least. */
const WINDOW_MS = 3_000;
const STARVED_SHARE = 0.5;
const FED_SHARE = 0.25;

/** mute: its line is silent, and apart from that it goes on. */
export type Verdict = 'unheard' | 'alive' | 'starving' | 'mute' | 'hung';

export interface Look {
  atMs: number;
  /** Grows with what the guest says. */
  heard: number;
  /** Grows while it goes on, apart from its line; none = it does not; undefined = nothing of the kind is heard. */
  beats?: number | 'none' | undefined;
  /** As the host kernel last accounted it; the same object while it was not read again. */
  usage: HostUsage | undefined;
}

export class Beat {
  verdict: Verdict = 'unheard';
  /** When the present verdict began. */
  sinceMs: number;
  /** For people; empty while it is alive. */
  seen = '';
  #heard: number | undefined;
  #lookMs: number | undefined;
  #beats: Look['beats'];
  /** Looks since they last grew. */
  #beatless = 0;
  #silent = 0;
  #silentMs: number;
  #atSilence: HostUsage | undefined;
  #window: { atMs: number; usage: HostUsage }[] = [];

  constructor(atMs: number) {
    this.sinceMs = atMs;
    this.#silentMs = atMs;
  }

  /** Whether it has been silent for longer than one that is well is, or lacks time: what fails now may not be its workload's fault. */
  get isDoubtful(): boolean {
    return this.#silent >= SILENT || this.verdict === 'starving' || this.verdict === 'hung';
  }

  /** Its time stood still: what it did not say then does not count. */
  pause(): void {
    this.#silent = 0;
    this.#lookMs = undefined;
    this.#heard = undefined;
    this.#beats = undefined;
    this.#window = [];
  }

  look({ atMs, heard, beats, usage }: Look): void {
    const sinceLook = atMs - (this.#lookMs ?? atMs);
    const isLate = sinceLook > LATE_MS || sinceLook < 0;
    const isFirst = this.#heard === undefined;
    this.#lookMs = atMs;
    if (isLate) this.#window = [];
    if (isFirst || heard !== this.#heard) {
      this.#silent = 0;
      this.#silentMs = atMs;
      this.#atSilence = usage;
    } else if (!isLate) this.#silent += 1;
    if (beats !== this.#beats || isFirst) this.#beatless = 0;
    else if (!isLate) this.#beatless += 1;
    this.#beats = beats;
    const isHeard = heard !== (this.#heard ?? heard);
    this.#heard = heard;
    this.#atSilence ??= usage;
    const starved = this.#starvedShare(atMs, usage);
    const goesOn = typeof beats === 'number' && this.#beatless < BEATLESS;
    if (this.#silent >= SILENT_LINE && goesOn)
      this.#become(
        'mute',
        atMs,
        `its agent said nothing over its line for ${this.#silent} s, and goes on all the same`,
      );
    else if (this.#silent >= SILENT_BUSY && goesOn) return;
    else if (this.#silent >= SILENT_BUSY) this.#judgeSilence(atMs, usage);
    else if (this.#silent > 0) return;
    else if (starved >= (this.verdict === 'starving' ? FED_SHARE : STARVED_SHARE))
      this.#become(
        'starving',
        atMs,
        `its vCPUs waited ${Math.round(starved * 100)} % of the time for a CPU of the host`,
      );
    else if (isHeard) this.#become('alive', atMs, '');
  }

  #judgeSilence(atMs: number, usage: HostUsage | undefined): void {
    const spanNs = Math.max(1, (atMs - this.#silentMs) * 1e6);
    const vcpus = grown(this.#atSilence, usage);
    const lacking = vcpus.filter(({ ranNs, waitedNs }) => ranNs < ENOUGH_NS && waitedNs >= spanNs * WAITED_SHARE);
    const ranNs = Math.max(0, ...vcpus.map((each) => each.ranNs));
    const seconds = ((atMs - this.#silentMs) / 1000).toFixed(0);
    const ran = `${(ranNs / 1e9).toFixed(1)} s of CPU time`;
    const isBusy = ranNs >= spanNs * BUSY_SHARE;
    if (this.#silent < SILENT && !isBusy) return;
    if (lacking.length > 0)
      this.#become(
        'starving',
        atMs,
        `it was silent for ${seconds} s, in which the host gave it ${ran} and let it wait`,
      );
    else if (isBusy || ranNs >= ENOUGH_NS || this.#silent >= SILENT_IDLE)
      this.#become('hung', atMs, `it said nothing for ${seconds} s, in which it had ${ran}`);
  }

  /** Of the vCPU that waits the most, the share of the last seconds; 0 where it ran more than that. */
  #starvedShare(atMs: number, usage: HostUsage | undefined): number {
    const window = this.#window;
    if (usage !== undefined) window.push({ atMs, usage });
    while (window.length > 2 && atMs - window[1]!.atMs >= WINDOW_MS) window.shift();
    const first = window[0];
    if (first === undefined || atMs - first.atMs < WINDOW_MS) return 0;
    const shares = grown(first.usage, usage).map(({ ranNs, waitedNs }) =>
      waitedNs > ranNs ? waitedNs / ((atMs - first.atMs) * 1e6) : 0,
    );
    return Math.min(1, Math.max(0, ...shares));
  }

  #become(verdict: Verdict, atMs: number, seen: string): void {
    if (this.verdict !== verdict)
      this.sinceMs = verdict === 'alive' || verdict === 'unheard' ? atMs : this.#begunMs(atMs);
    this.verdict = verdict;
    this.seen = seen;
  }

  /** Silence began when it was last heard. */
  #begunMs(atMs: number): number {
    return this.#silent > 0 ? this.#silentMs : atMs;
  }
}

/** What each vCPU ran and waited from one reading to another; nothing where that cannot be told. */
function grown(before: HostUsage | undefined, now: HostUsage | undefined): { ranNs: number; waitedNs: number }[] {
  return (now?.vcpus ?? []).map(({ ranNs, waitedNs }, at) => {
    const old = before?.vcpus[at] ?? { ranNs, waitedNs };
    return { ranNs: Math.max(0, ranNs - old.ranNs), waitedNs: Math.max(0, waitedNs - old.waitedNs) };
  });
}
