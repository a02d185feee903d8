/** A comparison as one HTML file that needs nothing else: a table, and charts drawn as SVG. */
import { why } from '../why.ts';
import type { Timeline } from './timeline.ts';
import type { Case, Outcome } from './types.ts';

const WIDTH = 900;
const HEIGHT = 130;
const STRIP = 8;
const COLOURS = ['#3b6fb6', '#c8742b', '#4f9153', '#9a5ba5', '#b5485d', '#6b7a8f', '#a08a2e', '#2f8f8f'];
const SHOWN_DECISIONS = 12;

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --muted: #888; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: ${WIDTH}px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left }
svg { width: 100%; height: auto; display: block } svg text { font-size: 11px; fill: var(--muted) }
p, li { color: var(--muted); margin: .2rem 0 } .key { display: inline-block; margin-right: 1rem }
.key i { display: inline-block; width: .8em; height: .8em; margin-right: .3em; border-radius: 2px }
`;

/** `timelines[i]` is of `outcomes[i]`; `lost` is V*, the violated seconds that nobody could have saved. */
export function report(
  scene: Case,
  outcomes: readonly Outcome[],
  timelines: readonly Timeline[],
  bound: { seconds: number; exact: boolean },
): string {
  const { tenants, cpus, seconds } = scene;
  const services = tenants.filter(({ kind }) => kind === 'service').length;
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>pk balance simulate</title><style>${STYLE}</style>
<h1>${services} ${services === 1 ? 'service' : 'services'} on ${short(cpus)} CPUs for ${duration(seconds)}</h1>
<p>A second of a service is violated when more than 1 % of the requests that came in it were late, shed or lost.
One who knows the future would violate ${bound.exact ? '' : 'at least '}${short(bound.seconds)}.</p>
${table(outcomes)}
<h2>Demand</h2>
${legend(scene)}
${timelines[0] === undefined ? '' : chart(scene, demand(scene, timelines[0]), undefined)}
${outcomes.map((outcome, index) => section(scene, outcome, timelines[index]!)).join('\n')}
</html>
`;
}

function table(outcomes: readonly Outcome[]): string {
  const head = ['policy', 'violated s', 'regret', 'batch CPU-s', 'services CPU-s', 'p99 ms', 'moves'];
  const rows = outcomes.map((each) =>
    [
      escaped(each.policy),
      short(each.violationSeconds),
      each.regret === null ? '-' : each.regret.toFixed(2),
      short(Math.round(each.bestEffortWork)),
      short(Math.round(each.serviceCoreSeconds)),
      each.p99Ms.toFixed(1),
      short(each.moves),
    ]
      .map((cell) => `<td>${cell}</td>`)
      .join(''),
  );
  return `<table><tr>${head.map((cell) => `<th>${cell}</th>`).join('')}</tr>${rows.map((row) => `<tr>${row}</tr>`).join('')}</table>`;
}

function section(scene: Case, { policy, violationSeconds }: Outcome, timeline: Timeline): string {
  const told = timeline.decisions.slice(0, SHOWN_DECISIONS);
  const list = told.map((decision) => `<li>${short(decision.at)} s: ${escaped(why(decision))}</li>`).join('\n');
  return `<h2>${escaped(policy)}: ${short(violationSeconds)} s violated</h2>
${chart(scene, timeline.cpus, timeline.late)}
${told.length === 0 ? '' : `<details><summary>its first decisions</summary><ol>${list}</ol></details>`}`;
}

/** CPUs that services would have busy, were there enough. */
function demand({ tenants }: Case, timeline: Timeline): Float32Array[] {
  return timeline.arrivals.map((values, index) => values.map((value) => (value * tenants[index]!.serviceMs) / 1000));
}

/** Areas on top of each other, and below them a strip for each service, dark where its requests were late. */
function chart(
  { tenants, cpus, seconds }: Case,
  values: readonly Float32Array[],
  late: readonly Float32Array[] | undefined,
): string {
  const spans = values[0]!.length;
  const x = (span: number) => ((span * WIDTH) / spans).toFixed(1);
  const base = new Float64Array(spans);
  let highest = cpus;
  const areas = values.map((row, index) => {
    const below = Float64Array.from(base);
    for (let span = 0; span < spans; span++) base[span]! += row[span]!;
    return { below, above: Float64Array.from(base), colour: colourOf(tenants, index) };
  });
  for (const value of base) highest = Math.max(highest, value);
  const y = (value: number) => (HEIGHT * (1 - value / highest)).toFixed(1);
  const paths = areas.map(({ below, above, colour }) => {
    const steps = (row: Float64Array, order: number[]) =>
      order.map((span) => `${x(span)},${y(row[span]!)} ${x(span + 1)},${y(row[span]!)}`).join(' ');
    const forth = Array.from({ length: spans }, (_, span) => span);
    const back = forth.toReversed().map((span) => `${x(span + 1)},${y(below[span]!)} ${x(span)},${y(below[span]!)}`);
    return `<polygon fill="${colour}" points="${steps(above, forth)} ${back.join(' ')}"/>`;
  });
  const strips = (late ?? []).flatMap((row, index) =>
    tenants[index]!.kind === 'service' ? [strip(row, colourOf(tenants, index))] : [],
  );
  const height = HEIGHT + 16 + strips.length * (STRIP + 2);
  const moved = strips.map(
    (text, index) => `<g transform="translate(0 ${HEIGHT + 16 + index * (STRIP + 2)})">${text}</g>`,
  );
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img"><g>${paths.join('')}</g>
<line x1="0" x2="${WIDTH}" y1="${y(cpus)}" y2="${y(cpus)}" stroke="currentColor" stroke-dasharray="4 3" stroke-opacity=".5"/>
<text x="2" y="${HEIGHT + 12}">0</text><text x="${WIDTH - 2}" y="${HEIGHT + 12}" text-anchor="end">${duration(seconds)}</text>
${moved.join('')}</svg>`;
}

function strip(late: Float32Array, colour: string): string {
  const marks: string[] = [];
  for (let span = 0; span < late.length; span++) {
    if (late[span]! <= 0.01) continue;
    const from = span;
    while (span + 1 < late.length && late[span + 1]! > 0.01) span++;
    const x = (from * WIDTH) / late.length;
    marks.push(
      `<rect x="${x.toFixed(1)}" width="${(((span + 1 - from) * WIDTH) / late.length).toFixed(1)}" height="${STRIP}"/>`,
    );
  }
  return `<rect width="${WIDTH}" height="${STRIP}" fill="${colour}" fill-opacity=".15"/><g fill="${colour}">${marks.join('')}</g>`;
}

function legend({ tenants }: Case): string {
  const shown = tenants.length > COLOURS.length ? tenants.slice(0, COLOURS.length) : tenants;
  const keys = shown.map(
    ({ name }, index) =>
      `<span class="key"><i style="background:${colourOf(tenants, index)}"></i>${escaped(name)}</span>`,
  );
  return `<p>${keys.join('')}${shown.length < tenants.length ? `and ${tenants.length - shown.length} more` : ''}. The strips mark late requests.</p>`;
}

const colourOf = (tenants: Case['tenants'], index: number): string =>
  tenants[index]!.kind === 'batch' ? '#8886' : COLOURS[index % COLOURS.length]!;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (letter) => ENTITIES[letter]!);
const short = (value: number): string => value.toLocaleString('en', { maximumFractionDigits: 2 });
const duration = (seconds: number): string =>
  seconds >= 7200
    ? `${short(seconds / 3600)} h`
    : seconds >= 120
      ? `${short(seconds / 60)} min`
      : `${short(seconds)} s`;
