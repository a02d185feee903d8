/** Channels as text: tables, and rates made of two samples. Pure. */
import type { ChannelEnd, ChannelStatus } from '../../channel/contract.ts';
import { formatBytes } from '../../sys/units.ts';
import { type Column, table } from '../kit/table.ts';

/** What happened to one side between two samples. */
export interface SideRates {
  owner: string;
  visible: ChannelEnd['visible'];
  state: ChannelEnd['state'];
  messagesPerSecond: number;
  bytesPerSecond: number;
  stallsPerSecond: number;
  dropsPerSecond: number;
  bellsPerSecond: number;
  /** Since the channel was made. */
  messages: number;
  bytes: number;
  stalls: number;
  drops: number;
  bells: number;
}

export interface ChannelRates {
  name: string;
  /** ISO 8601 UTC, of the later sample. */
  at: string;
  /** Between the samples. */
  seconds: number;
  state: ChannelStatus['state'];
  fault: string | null;
  depthBytes: number;
  sizeBytes: number;
  from: SideRates;
  to: SideRates;
}

interface Sample {
  status: ChannelStatus;
  /** Milliseconds since 1970. */
  at: number;
}

export const CHANNEL_COLUMNS: readonly Column<ChannelStatus>[] = [
  ['NAME', ({ name }) => name],
  ['FROM', ({ from }) => from.owner],
  ['TO', ({ to }) => to.owner],
  ['SIZE', ({ sizeBytes }) => formatBytes(sizeBytes), 'right'],
  ['DEPTH', ({ depthBytes }) => formatBytes(depthBytes), 'right'],
  ['SENT', ({ from }) => String(from.messages), 'right'],
  ['RECEIVED', ({ to }) => String(to.messages), 'right'],
  ['STATE', (channel) => channelState(channel)],
];

/** `ok`, `error`, `closed` by its sender, or the ends that do not see its memory: `to pending`. */
export function channelState({ state, from, to }: ChannelStatus): string {
  if (state === 'error') return 'error';
  const hidden = Object.entries({ from, to }).filter(([, end]) => end.visible !== 'attached');
  if (hidden.length > 0) return hidden.map(([side, end]) => `${side} ${end.visible}`).join(', ');
  return from.state === 'closed' ? 'closed' : 'ok';
}

/** From two samples; all rates are 0 when the channel was made anew between them, or no time has passed. */
export function ratesBetween(before: Sample, after: Sample): ChannelRates {
  const { status, at } = after;
  const seconds = (at - before.at) / 1000;
  const comparable = before.status.id === status.id && seconds > 0;
  const side = (end: ChannelEnd, old: ChannelEnd): SideRates => {
    const rate = (key: 'messages' | 'bytes' | 'stalls' | 'drops' | 'bells') =>
      comparable ? Math.round((Math.max(0, end[key] - old[key]) / seconds) * 10) / 10 : 0;
    const { owner, visible, state, messages, bytes, stalls, drops, bells } = end;
    return {
      ...{ owner, visible, state },
      messagesPerSecond: rate('messages'),
      bytesPerSecond: rate('bytes'),
      stallsPerSecond: rate('stalls'),
      dropsPerSecond: rate('drops'),
      bellsPerSecond: rate('bells'),
      ...{ messages, bytes, stalls, drops, bells },
    };
  };
  return {
    name: status.name,
    at: new Date(at).toISOString(),
    seconds,
    state: status.state,
    fault: status.fault,
    depthBytes: status.depthBytes,
    sizeBytes: status.sizeBytes,
    from: side(status.from, before.status.from),
    to: side(status.to, before.status.to),
  };
}

/** For a terminal: what is in the channel, and both sides beside each other, in all and per second. */
export function ratesText(rates: ChannelRates): string {
  const { from, to } = rates;
  const row = (title: string, cells: (side: SideRates) => [string, string]) => [title, ...cells(from), ...cells(to)];
  const rows = [
    row('owner', ({ owner }) => [owner, '']),
    row('state', ({ visible, state }) => [visible === 'attached' ? state : visible, '']),
    row('messages', ({ messages, messagesPerSecond }) => [String(messages), number(messagesPerSecond)]),
    row('bytes', ({ bytes, bytesPerSecond }) => [formatBytes(bytes), formatBytes(bytesPerSecond)]),
    row('stalls', ({ stalls, stallsPerSecond }) => [String(stalls), number(stallsPerSecond)]),
    row('drops', ({ drops, dropsPerSecond }) => [String(drops), number(dropsPerSecond)]),
    row('bells', ({ bells, bellsPerSecond }) => [String(bells), number(bellsPerSecond)]),
  ];
  const fault = rates.state === 'error' ? `error: ${rates.fault ?? 'unknown'}\n` : '';
  const head = ['', 'SEND', 'PER SECOND', 'RECV', 'PER SECOND'];
  return `${rates.name}: ${depth(rates)}\n${fault}${table(head, rows, ['SEND', 'RECV', 'PER SECOND'])}`;
}

/** For a file or a pipe: everything that changes, on one line. */
export function ratesLine(rates: ChannelRates): string {
  const side = ({ messagesPerSecond, bytesPerSecond, stallsPerSecond, dropsPerSecond, bellsPerSecond }: SideRates) =>
    `${number(messagesPerSecond)} msg/s ${formatBytes(bytesPerSecond)}/s ${number(stallsPerSecond)} stalls/s ` +
    `${number(dropsPerSecond)} drops/s ${number(bellsPerSecond)} bells/s`;
  const fault = rates.state === 'error' ? `  error: ${rates.fault ?? 'unknown'}` : '';
  return `${rates.at}  ${rates.name}: ${depth(rates)}  send ${side(rates.from)}  recv ${side(rates.to)}${fault}\n`;
}

function depth({ depthBytes, sizeBytes }: ChannelRates): string {
  const percent = sizeBytes === 0 ? 0 : (depthBytes / sizeBytes) * 100;
  return `${formatBytes(depthBytes)} of ${formatBytes(sizeBytes)} in use (${percent.toFixed(0)} %)`;
}

/** One decimal for small numbers, none for large ones. */
const number = (value: number): string =>
  value < 100 && !Number.isInteger(value) ? value.toFixed(1) : value.toFixed(0);

/** Rates between each two samples that `read` gives, `pause` apart; without end. */
export async function* ratesOf(
  read: () => Promise<ChannelStatus>,
  pause: () => Promise<void>,
  now: () => number = Date.now,
): AsyncGenerator<ChannelRates, never> {
  const sample = async (): Promise<Sample> => ({ status: await read(), at: now() });
  let before = await sample();
  for (;;) {
    await pause();
    const after = await sample();
    yield ratesBetween(before, after);
    before = after;
  }
}
