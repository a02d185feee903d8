/** A page with the latencies of a trial over time, the fault marked. Pure; what it shows of others is escaped. */

import { type KernelReport, PHASES, type TrialReport } from '../../containment/contract.ts';
import { plainLine } from '../../sys/text.ts';

const WIDTH = 900;
const HEIGHT = 160;
const LEFT = 60;
const LEAST_MS = 0.1;
/** Colours that differ for all eyes. */
const MEDIAN = '#0072b2';
const WORST = '#d55e00';

const safe = (text: string): string =>
  plainLine(text).replace(/[&<>"]/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[letter]!);

export function pageOf(report: TrialReport): string {
  const { fault, at, verdict, findings, kernels, notes } = report;
  const top = Math.max(10, ...kernels.flatMap(({ series }) => series.map(([, , worst]) => worst / 1000)));
  const title = safe(`${fault} in ${kernels[0]!.name}: ${verdict}`);
  const rows = findings.map(
    ({ outcome, name, about, reason }) =>
      `<tr class="${outcome}"><td>${outcome}</td><td>${safe(name)}</td><td>${about}</td><td>${safe(reason)}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<style>body{font:15px/1.4 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em}td{padding:.1em .8em .1em 0;vertical-align:top}
.broken{color:#a00;font-weight:bold}.noted{color:#666}svg{display:block;width:100%}text{font-size:11px;fill:#333}</style></head>
<body><h1>${title}</h1>
<p>${safe(at)}. <span style="color:${MEDIAN}">median</span> and <span style="color:${WORST}">worst</span> latency of a probe in each kernel, in
milliseconds on a logarithmic scale. Grey: from the fault to the victim's recovery.</p>
${kernels.map((kernel) => `<h2>${safe(`${kernel.name} (${kernel.driver}, ${kernel.role})`)}</h2>\n${chart(kernel, report, top)}`).join('\n')}
<h2>Findings</h2><table>${rows.join('\n')}</table>
${notes.map((note) => `<p>${safe(note)}</p>`).join('\n')}
</body></html>
`;
}

function chart({ series }: KernelReport, { marks, kernels }: TrialReport, topMs: number): string {
  const x = (ms: number) => LEFT + (ms / Math.max(1, marks.endMs)) * (WIDTH - LEFT);
  const scale = Math.log10(topMs / LEAST_MS);
  const y = (ms: number) => HEIGHT - (Math.log10(Math.max(LEAST_MS, ms) / LEAST_MS) / scale) * HEIGHT;
  const gap = 3 * Math.max(50, (series[1]?.[0] ?? 0) - (series[0]?.[0] ?? 0));
  const line = (which: 1 | 2, color: string) => {
    let last = Number.NEGATIVE_INFINITY;
    const path = series.map((point) => {
      // Where nothing was done there is no line.
      const step = `${point[0] - last > gap ? 'M' : 'L'}${x(point[0]).toFixed(1)} ${y(point[which] / 1000).toFixed(1)}`;
      last = point[0];
      return step;
    });
    return `<path d="${path.join('')}" fill="none" stroke="${color}"/>`;
  };
  const grid: string[] = [];
  for (let ms = LEAST_MS; ms <= topMs; ms *= 10)
    grid.push(
      `<path d="M${LEFT} ${y(ms).toFixed(1)}H${WIDTH}" stroke="#ddd"/><text x="0" y="${(y(ms) - 2).toFixed(1)}">${Number(ms.toFixed(1))} ms</text>`,
    );
  const mark = (ms: number, text: string) =>
    `<path d="M${x(ms).toFixed(1)} 0V${HEIGHT}" stroke="#000" stroke-dasharray="4 3"/><text x="${(x(ms) + 3).toFixed(1)}" y="10">${text}</text>`;
  return `<svg viewBox="0 -4 ${WIDTH} ${HEIGHT + 24}" role="img" aria-label="latency over ${PHASES.join(', ')} of ${kernels.length} kernels">
<rect x="${x(marks.faultMs).toFixed(1)}" y="0" width="${(x(marks.healedMs) - x(marks.faultMs)).toFixed(1)}" height="${HEIGHT}" fill="#eee"/>
${grid.join('')}${line(1, MEDIAN)}${line(2, WORST)}
${mark(marks.faultMs, 'fault')}${mark(marks.healMs, 'healing')}${mark(marks.healedMs, 'healed')}
<text x="${LEFT}" y="${HEIGHT + 14}">0 s</text><text x="${WIDTH}" y="${HEIGHT + 14}" text-anchor="end">${(marks.endMs / 1000).toFixed(1)} s</text></svg>`;
}
