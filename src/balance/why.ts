/** A decision in words: what moved, and on either side the rule that fired with the numbers it saw. */
import { formatBytes, formatDuration } from '../sys/units.ts';
import type { Decision, Move, Reason, Side } from './types.ts';

/** One sentence for people, such as `1 CPU from batch to web: web 1 → 2, since …; batch 3 → 2, since …`. */
export function why({ move, giver, taker }: Decision): string {
  const sides = [taker, giver].filter((side) => side !== undefined);
  return [moveText(move), sides.map((side) => sideText(side, move)).join('; ')]
    .filter((text) => text !== '')
    .join(': ');
}

export function moveText(move: Move): string {
  if (move.kind === 'weight') return `weight ${move.weight} for ${move.kernel} in service ${move.service}`;
  const amount = move.kind === 'cpu' ? cpus(move.count) : formatBytes(move.bytes);
  if (move.from === null) return `${amount} from the free ones to ${move.to}`;
  return move.to === null ? `${amount} of ${move.from} set free` : `${amount} from ${move.from} to ${move.to}`;
}

const sideText = (side: Side, move: Move): string =>
  `${side.kernel} ${sizeText(side.before, move)} → ${sizeText(side.after, move)}, since ${because(side.reason)}`;

/** A size of what moves. */
export const sizeText = (size: number, { kind }: Pick<Move, 'kind'>): string =>
  kind === 'memory' ? formatBytes(size) : number(size);

type Rules = { [Rule in Reason['rule']]: (reason: Extract<Reason, { rule: Rule }>) => string };

const RULES: Rules = {
  'equal-split': ({ kernels }) => `the pool is split evenly over ${kernels} kernels`,
  utilisation: ({ busy, target, highest, overSeconds }) =>
    `${cpus(busy)} busy against a target of ${percent(target)} asked for up to ${number(highest)} in the last ${seconds(overSeconds)}`,
  slack: ({ slack, bound }) =>
    `its latency is ${percent(Math.abs(slack))} ${slack < 0 ? 'above' : 'below'} the promise (bound ${percent(bound)})`,
  revert: ({ slack }) => `what it gave left it ${percent(slack)} of slack: taken back`,
  throttled: ({ share, target }) =>
    `${percent(share)} of its samples were throttled, more than three times ${percent(target)}`,
  margin: ({ peak, margin, deviation }) =>
    `its peak of ${cpus(peak)} and ${number(margin)} deviations of ${number(deviation)} are what it is given`,
  suppress: ({ limit, busy, left }) =>
    `services use ${cpus(busy)} of ${number(limit)}, which leaves ${number(left)} for batch kernels`,
  'latency-critical': ({ busy, room }) =>
    `it uses ${cpus(busy)}, and services have ${number(room)} beyond their use between them`,
  credits: ({ demand, fair, credits }) =>
    `it asks for ${cpus(demand)}, has ${number(fair)} of its own and ${number(credits)} credits to borrow with`,
  'max-min': ({ demand }) => `it asks for ${cpus(demand)}, and smaller demands come first`,
  need: ({ arrivals, headroom, serviceMs, queued, need, lateNow }) =>
    `${number(arrivals)} requests/s and ${number(headroom)} of headroom at ${number(serviceMs)} ms each` +
    `${queued >= 1 ? `, with ${number(queued)} waiting,` : ''} need ${cpus(need)}` +
    `${lateNow > 0.01 ? ` (${percent(lateNow)} are late now)` : ''}`,
  quiet: ({ seconds: quiet, need }) => `${cpus(need)} would have been enough for the last ${seconds(quiet)}`,
  short: ({ need, entitlement, priority, credits }) =>
    `there is not enough for all: it needs ${cpus(need)}, has a priority of ${priority}, is entitled to ${number(entitlement)} and has ` +
    `${credits < 0 ? `borrowed ${number(-credits)}` : `lent ${number(credits)}`} CPU-seconds`,
  outranked: ({ wanted, priority }) =>
    `there is not enough for all: it asks for ${cpus(wanted)}, and those of a higher priority than its ${priority} come first`,
  'cannot-use': ({ usable, need }) =>
    `it leaves idle what it has beyond ${cpus(usable)}, though it asks for ${number(need)}`,
  distrusted: ({ entitlement, claimed }) =>
    `it says that ${number(claimed)} tasks wait, which its requests contradict: it gets its entitlement of ${cpus(entitlement)}`,
  capacity: ({ cpus: own, mean }) => `it has ${cpus(own)}, and the targets of the service ${number(mean)} on average`,
  'memory-wait': ({ waitedMs, overSeconds }) =>
    `its tasks waited ${number(waitedMs)} ms for memory in ${seconds(overSeconds)}, more than 10`,
  'memory-rest': ({ availableBytes }) => `nothing waits for memory, and ${formatBytes(availableBytes)} are free within`,
  'memory-spare': ({ availableBytes }) => `it has ${formatBytes(availableBytes)} free within`,
  rest: () => 'batch kernels have what services leave',
};

export function because(reason: Reason): string {
  return (RULES[reason.rule] as (reason: Reason) => string)(reason);
}

/** At most two decimals, none that say nothing. */
const number = (value: number): string => String(Math.round(value * 100) / 100);
const cpus = (count: number): string => `${number(count)} ${count === 1 ? 'CPU' : 'CPUs'}`;
const percent = (share: number): string => `${number(share * 100)} %`;
const seconds = (count: number): string => formatDuration(count * 1000);
