/** What `slo` knows of one service: what its requests cost, where demand goes, how many CPUs that takes. */
import type { Kernel, Observation } from '../types.ts';
import { pieces } from './allot.ts';
import { Calibration } from './calibration.ts';
import { compound } from './compound.ts';
import { Demand } from './demand.ts';
import { HighestOf } from './highest.ts';
import { lateByWaiting, waitProbability } from './queue.ts';
import type { SloParameters } from './slo-parameters.ts';
import { Spoilt } from './spoilt.ts';
import { Usable } from './usable.ts';

/** Windows in which its own word and the host's count have to differ before it is not believed. */
const DISTRUST_AFTER = 10;
/** Share of the past kept each second: of what requests cost, of how many are late now. */
const costKept = compound(0.97);
const recentKept = compound(0.7);
/** Seconds for which a claim on what is short stands, unless its demand falls: chance does not send a CPU to and fro between two that are. */
const CLAIM_SECONDS = 5;
/** Share of late requests in the last seconds, and how many they have to be, to ask for a CPU; and the chance of waiting that this takes. */
const TOO_LATE = 0.01;
const RECENT_SECONDS = 3;
const STEADY_SECONDS = 6;
const ENOUGH_LATE = 4;
const CPUS_HELP = 0.1;
/** Seconds without late requests after which what it has is enough, where others are short. */
const KEPT_SECONDS = 1;
/** A model that says more than this share will be late speaks of an overload, in which no queue is steady. */
const TELLS = 0.2;
/** Seconds for which a queue of half the promise has to stay to mean something. */
const STAYS = 0.6;
/** Share of requests that may be late by the promise, less what the model may be wrong by. */
const PROMISED = 0.007;
/**
 * Where others are short, who has hardly a late request may do with a piece less: if the model, which may be wrong, says that no more
 * than this share would be late then, and the load is lower by this factor than one at which so few pieces were seen to be too few.
 */
const HARDLY_LATE = 0.002;
const WORTH_A_TRIAL = 0.02;
const LIGHTER = 0.95;

export class ServiceState {
  /** CPUs it needs to keep its promise, in pieces, with what is waiting; the highest of the quiet window, of careful estimates. */
  need = 0;
  recentNeed = 0;
  /** What may do where others are short: nothing is kept free, and what was seen counts more than the model. */
  bare = 0;
  /** CPU-seconds of entitlement lent (above 0) or borrowed. */
  credits = 0;
  /** Requests wait that are to be gone soon, or did a moment ago. */
  waits = false;
  /** When it next may give a piece: not before it was seen for a quiet window. */
  shrinkAt = Number.NaN;
  readonly usable = new Usable();
  readonly #calibration = new Calibration();
  readonly #parameters: SloParameters;
  readonly #spoilt: Spoilt;
  readonly demand: Demand;
  readonly #highest: HighestOf;
  readonly #claims = new HighestOf(CLAIM_SECONDS);
  #busy = 0;
  #answered = 0;
  #waited = 0;
  #waitedAt = Number.NEGATIVE_INFINITY;
  #lately = 0;
  #size = 0;
  #steadySince = 0;
  #keptSince = 0;
  /** Pieces that were seen to be too few, and the requests per second at which they were. */
  #tooFew = 0;
  #tooFewAt = 0;
  #lied = 0;
  /** When it last gave a piece, and how long pieces it gave stayed away, as far as one can say. */
  #gaveAt = Number.NEGATIVE_INFINITY;
  #away = Number.POSITIVE_INFINITY;

  constructor(parameters: SloParameters, spoilt: Spoilt) {
    this.#parameters = parameters;
    this.#spoilt = spoilt;
    this.demand = new Demand(parameters.lead, parameters.jumps, parameters.halfLife, parameters.quiet);
    this.#highest = new HighestOf(parameters.quiet);
  }

  /** CPU-seconds of a request; 0 while none was answered. */
  get service(): number {
    return this.#answered > 0 ? this.#busy / this.#answered : 0;
  }
  /** It says that tasks wait where the host knows of no request that does. */
  get distrusted(): boolean {
    return this.#lied >= DISTRUST_AFTER;
  }

  /** Takes what was seen, and works out what is needed now. */
  learn(at: number, seconds: number, kernel: Kernel, seen: Observation, grain: number): void {
    if (Number.isNaN(this.shrinkAt)) this.shrinkAt = at + this.#parameters.quiet;
    this.#trust(seen);
    const kept = costKept(seconds);
    this.#busy = kept * this.#busy + seen.busy * seconds;
    this.#answered = kept * this.#answered + seen.finished * seconds;
    this.demand.learn(seen.arrivals, seconds);
    const promise = (kernel.promiseMs ?? Number.POSITIVE_INFINITY) / 1000;
    const overloaded = this.#isOverloaded(seconds, promise, seen, grain);
    const recent = recentKept(seconds);
    this.#lately = recent * this.#lately + (1 - recent) * seen.late;
    if (overloaded || seen.late > TOO_LATE) this.#keptSince = at;
    this.usable.learn(at, overloaded, seen.busyPeak, seen.cpus, grain);
    if (kernel.promiseMs === null) {
      // Nothing was promised and only its own word speaks for it: what it uses and what waits, up to its entitlement.
      this.need = this.bare = pieces(Math.min(kernel.entitlement, (seen.busy + seen.waiting) * 1.2), grain);
      this.recentNeed = this.#highest.add(at, this.need);
      return;
    }
    const { foreseen, headroom, uncertainty } = this.demand;
    const excess = Math.max(0, seen.queued * this.service - (seen.cpus * promise) / 4);
    const drain = overloaded ? excess / this.#parameters.drain : 0;
    const { max } = kernel;
    if (drain > 0) this.#waitedAt = at;
    this.waits = at - this.#waitedAt < CLAIM_SECONDS && !this.demand.fell;
    const risk = Math.min(this.#parameters.risk, this.#spoilt.risk(foreseen));
    // Just after a change the queue is none that the model speaks of. Where it says enough and requests are late for want of CPUs since, one
    // more, whatever it says.
    if (seen.cpus !== this.#size || overloaded || this.demand.rose || this.demand.fell) this.#steadySince = at;
    this.#size = seen.cpus;
    const isSteady = at - this.#steadySince > STEADY_SECONDS;
    if (isSteady && seen.cpus <= this.usable.most) this.#calibrate(seconds, promise, seen, grain);
    const size = pieces(seen.cpus, grain);
    const isTooFew = isSteady && this.#isLate(seen, grain);
    if (isTooFew) {
      this.#tooFew = size;
      this.#tooFewAt = foreseen;
    }
    const own = this.#cpusFor(foreseen + headroom, promise, risk, grain, max, 1);
    this.need = Math.max(isTooFew ? size + 1 : 1, pieces(own * grain + drain, grain));
    // Another one may be late meanwhile.
    if (this.demand.fell) this.#claims.reset();
    const fewest = this.need === 1 ? 1 : this.#cpusFor(foreseen, promise, PROMISED, grain, max, 1);
    this.bare = this.#claims.add(at, fewest);
    // What it has keeps the promise, whatever the model says, when hardly any request was late in the last seconds.
    if (!overloaded && (this.#lately < PROMISED || at - this.#keptSince > KEPT_SECONDS)) {
      if (size < this.bare) this.bare = size;
      else if (this.#mayDo(this.bare - 1, grain, promise)) this.bare--;
    }
    // More demand takes no fewer.
    const careful = this.#cpusFor(foreseen + headroom + uncertainty, promise, risk, grain, max, own);
    this.recentNeed = this.#highest.add(at, Math.max(this.need, pieces(careful * grain + drain, grain)));
  }

  /** So many pieces are worth a trial. */
  #mayDo(size: number, grain: number, promise: number): boolean {
    const { foreseen } = this.demand;
    if (size < 1 || this.#lately > HARDLY_LATE || (size <= this.#tooFew && foreseen > LIGHTER * this.#tooFewAt))
      return false;
    return this.#late(foreseen, size * grain, promise) < WORTH_A_TRIAL;
  }

  /** Chance that a second is spoilt with so many CPUs, were there no queue. */
  spoiltOn(cpus: number, promiseMs: number | null): number {
    if (promiseMs === null) return 0;
    const { foreseen } = this.demand;
    return Spoilt.chance(foreseen, this.#late(foreseen, cpus, promiseMs / 1000));
  }

  /** Its word against what the host counts: tasks that wait for no request, or all CPUs busy and yet nobody who has to wait. */
  #trust({ waiting, queued, cpus, busy, late }: Observation): void {
    const contradicts = late <= 0.01 && (waiting > queued + cpus || (busy > 0.98 * cpus && queued < 1));
    this.#lied = contradicts ? Math.min(3 * DISTRUST_AFTER, this.#lied + 1) : Math.max(0, this.#lied - 1);
  }

  /** A queue of half the promise comes by chance now and then; one that stays, or is a whole promise long, does not. */
  #isOverloaded(seconds: number, promise: number, seen: Observation, grain: number): boolean {
    const waits = (seen.queued * this.service) / Math.max(grain, seen.cpus);
    this.#waited = waits > promise / 2 ? this.#waited + seconds : 0;
    return waits > promise || this.#waited > STAYS;
  }

  /** More than the promise allows were late in the last seconds, enough of them to be no chance, and not by themselves. */
  #isLate({ arrivals, cpus }: Observation, grain: number): boolean {
    if (this.#lately < TOO_LATE || this.#lately * arrivals * RECENT_SECONDS < ENOUGH_LATE) return false;
    const use = (this.demand.foreseen * this.service) / Math.max(grain, cpus);
    return cpus < this.usable.most && waitProbability(Math.max(1, cpus), use) > CPUS_HELP;
  }

  #calibrate(seconds: number, promise: number, seen: Observation, grain: number): void {
    const { foreseen } = this.demand;
    const foretold = this.#late(foreseen, seen.cpus, promise);
    if (foretold >= TELLS) return;
    const chance = waitProbability(Math.max(1, seen.cpus), (foreseen * this.service) / Math.max(grain, seen.cpus));
    this.#calibration.learn(seen.arrivals * seconds, seen.late, foretold, chance, seconds);
  }

  #late(arrivals: number, cpus: number, promise: number): number {
    const { service } = this;
    if (service === 0) return 0;
    return lateByWaiting(arrivals * this.#calibration.factor, service, cpus, promise);
  }

  /** Fewest pieces, of `least` and more, on which no more than `risk` of the requests wait too long. */
  #cpusFor(arrivals: number, promise: number, risk: number, grain: number, max: number, least: number): number {
    const most = Math.max(1, Math.floor(max / grain + 1e-9));
    let size = Math.max(least, Math.ceil((arrivals * this.service * this.#calibration.factor) / grain));
    while (size < most && this.#late(arrivals, size * grain, promise) > risk) size++;
    return size;
  }

  /** It gave a piece: the next one may go after `pace`, later when pieces are soon asked back. */
  gave(at: number): void {
    this.#gaveAt = at;
    this.shrinkAt = at + this.#parameters.pace * this.#dearness();
  }

  /** It takes pieces: if one was given lately, that cost two moves. */
  took(at: number): void {
    const away = at - this.#gaveAt;
    this.#away = Math.min(away, (Math.min(this.#away, 4 * this.#parameters.charge) + away) / 2);
    this.shrinkAt = at + this.#parameters.quiet * this.#dearness();
    this.#gaveAt = Number.NEGATIVE_INFINITY;
  }

  /** 1, or more when what is given does not stay away for as long as the moves there and back have to pay for. */
  #dearness(): number {
    return Math.min(8, Math.max(1, this.#parameters.charge / this.#away));
  }
}
