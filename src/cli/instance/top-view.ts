/** The screen of `pk top`: what it shows, what keys do, and which lines have to be written. Pure. */

import { plainLine } from '../../sys/text.ts';
import { formatBytes } from '../../sys/units.ts';
import type { InstanceStats } from '../../telemetry/contract.ts';
import { COLUMNS, percent, RIGHT, sparkline } from './stats-text.ts';

/** Values of the sparkline per instance. */
export const HISTORY = 30;
const LEAST_GRAPH = 8;

export interface TopState {
  stats: readonly InstanceStats[];
  /** CPU time on the host, by instance, oldest first. */
  history: ReadonlyMap<string, readonly (number | null)[]>;
  /** Index into COLUMNS. */
  sort: number;
  reverse: boolean;
  /** By name: stays on its instance when the order changes. */
  selected: string | undefined;
  /** The latest that balancing has done, in words; undefined: nothing lately. */
  moved?: string | undefined;
  /** For the head; changes once a second. */
  time: string;
}

export const initialState = (): TopState => ({
  stats: [],
  history: new Map(),
  sort: COLUMNS.findIndex(({ title }) => title === 'HOST'),
  reverse: false,
  selected: undefined,
  time: '',
});

/** Largest first, names and states ascending; equals by name. */
export function sorted({ stats, sort, reverse }: TopState): InstanceStats[] {
  const { key } = COLUMNS[sort]!;
  const order = (a: InstanceStats, b: InstanceStats): number => {
    const [one, other] = [key(a), key(b)];
    const difference =
      typeof one === 'string' || typeof other === 'string'
        ? String(one) < String(other)
          ? -1
          : Number(String(one) > String(other))
        : other - one;
    return (reverse ? -difference : difference) || (a.name < b.name ? -1 : 1);
  };
  return [...stats].sort(order);
}

/** New numbers: they are added to the history, and what is gone is forgotten. */
export function withStats(state: TopState, stats: readonly InstanceStats[], time: string): TopState {
  const history = new Map(
    stats.map(({ id, host }) => [id, [...(state.history.get(id) ?? []), host?.cpu ?? null].slice(-HISTORY)]),
  );
  return { ...state, stats, history, time };
}

/** What a key does; `quit` ends. Keys come as the terminal sends them. */
export function withKey(state: TopState, key: string): TopState | 'quit' {
  const names = sorted(state).map(({ name }) => name);
  const at = state.selected === undefined ? -1 : names.indexOf(state.selected);
  const select = (index: number) => ({ ...state, selected: names[Math.min(names.length - 1, Math.max(0, index))] });
  const sortBy = (index: number) => ({ ...state, sort: (index + COLUMNS.length) % COLUMNS.length });
  switch (key) {
    case 'q':
    case '\x03':
    case '\x04':
      return 'quit';
    case '\x1b[A':
    case '\x1bOA':
    case 'k':
      return select(at === -1 ? names.length - 1 : at - 1);
    case '\x1b[B':
    case '\x1bOB':
    case 'j':
      return select(at + 1);
    case '\x1b[H':
      return select(0);
    case '\x1b[F':
      return select(names.length - 1);
    case '\x1b[C':
    case '\x1bOC':
      return sortBy(state.sort + 1);
    case '\x1b[D':
    case '\x1bOD':
      return sortBy(state.sort - 1);
    case 'r':
      return { ...state, reverse: !state.reverse };
    case 'c':
    case 'h':
    case 'm':
    case 'n':
      return sortBy(COLUMNS.findIndex(({ title }) => title === { c: 'CPU', h: 'HOST', m: 'MEMORY', n: 'NAME' }[key]));
    default:
      return state;
  }
}

/** An escape sequence, or one character. */
const ESCAPE = String.fromCharCode(27);
const KEY = new RegExp(`${ESCAPE}(?:\\[[\\d;]*[A-Za-z~]|O[A-Za-z])|.`, 'gsu');

/** Splits what came at once into keys. */
export const keysOf = (text: string): string[] => text.match(KEY) ?? [];

interface Size {
  rows: number;
  columns: number;
}

const INVERSE = '\x1b[7m';
const BOLD = '\x1b[1m';
const DIM = '\x1b[2m';
const PLAIN = '\x1b[0m';

/** All lines of the screen, each at most as wide as it; escapes only where `styled`. */
export function draw(state: TopState, { rows, columns }: Size, styled = true): string[] {
  const paint = (code: string, text: string) => (styled ? code + text + PLAIN : text);
  const order = sorted(state);
  const cells = order.map((stats) => COLUMNS.map(({ text }) => plainLine(text(stats))));
  const arrow = state.reverse ? '▲' : '▼';
  const titles = COLUMNS.map(({ title }, index) => (index === state.sort ? title + arrow : title));
  const widths = titles.map((title, index) => Math.max(title.length, ...cells.map((row) => row[index]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) =>
        RIGHT.includes(COLUMNS[index]!.title) ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!),
      )
      .join('  ');
  const used = widths.reduce((sum, width) => sum + width + 2, 0);
  const graph = columns - used >= LEAST_GRAPH ? Math.min(HISTORY, columns - used) : 0;
  const head = cut(summary(state), columns);
  const moved = state.moved === undefined ? [] : [cut(plainLine(state.moved), columns)];
  const room = Math.max(0, rows - 3 - moved.length);
  const selected = order.findIndex(({ name }) => name === state.selected);
  const first = Math.max(0, Math.min(selected - room + 1, order.length - room));
  const lines = order.slice(first, first + room).map(({ id, name, vcpus }, index) => {
    const values = (state.history.get(id) ?? []).slice(-graph);
    const course = graph === 0 ? '' : `  ${sparkline(values, vcpus)}`;
    const text = cut(line(cells[first + index]!) + course, columns);
    return name === state.selected ? paint(INVERSE, text.padEnd(columns)) : text;
  });
  const title = cut(line(titles) + (graph === 0 ? '' : '  HOST CPU'), columns);
  const keys = cut('q quit  ←→ sort by  r reverse  ↑↓ select  c h m n: CPU HOST MEMORY NAME', columns);
  const empty = Array.from({ length: room - lines.length }, () => '');
  return [paint(BOLD, head), paint(DIM, title), ...lines, ...empty, ...moved, paint(DIM, keys)].slice(0, rows);
}

function summary({ stats, time }: TopState): string {
  const running = stats.filter(({ state }) => state === 'running').length;
  const sum = (of: (stats: InstanceStats) => number | null | undefined) =>
    stats.reduce((total, each) => total + (of(each) ?? 0), 0);
  const host = percent(sum(({ host }) => (host === null ? 0 : host.cpu + host.others)));
  const memory = formatBytes(sum(({ host }) => host?.residentBytes));
  const delay = percent(sum(({ host }) => host?.delay));
  return `pk top  ${time}  ${running} of ${stats.length} running  host CPU ${host}  withheld ${delay}  resident ${memory}`;
}

const cut = (text: string, columns: number): string =>
  (text.length > columns ? text.slice(0, columns) : text).trimEnd();

/** What to write so that the screen shows `now`: only lines that differ. Without `before` all of them. */
export function update(before: readonly string[] | undefined, now: readonly string[]): string {
  const home = before === undefined ? '\x1b[H\x1b[J' : '';
  return home + now.map((text, row) => (before?.[row] === text ? '' : `\x1b[${row + 1};1H${text}\x1b[K`)).join('');
}
