/** A trial as a terminal shows it. */
import { type Figures, PHASES, type TrialReport } from '../../containment/contract.ts';
import { plainLine } from '../../sys/text.ts';
import { table } from '../kit/table.ts';

const MARKS = { held: '✓', broken: '✗', noted: '·' } as const;
const VERDICTS = {
  contained: 'contained: no neighbour was harmed',
  leaked: 'LEAKED: a neighbour was harmed',
  'not-shown': 'not shown: the fault did not take hold',
} as const;

const ms = (us: number | null): string => (us === null ? '-' : (us / 1000).toFixed(2));
const perSecond = ({ requests, seconds }: Figures): string => (seconds === 0 ? '-' : (requests / seconds).toFixed(1));

export function reportText(report: TrialReport): string {
  const { fault, live, verdict, findings, kernels, work, notes } = report;
  const rows = kernels.flatMap((kernel) =>
    PHASES.map((phase) => {
      const part = kernel[phase];
      return [
        ...[
          kernel.name,
          kernel.driver,
          kernel.role,
          phase,
          part.seconds.toFixed(1),
          perSecond(part),
          String(part.errors),
        ],
        ...[ms(part.p50Us), ms(part.p99Us), ms(part.worstUs), String(part.heard)],
      ];
    }),
  );
  const head = [
    'KERNEL',
    'DRIVER',
    'ROLE',
    'PART',
    'SECONDS',
    'REQ/S',
    'ERRORS',
    'P50 MS',
    'P99 MS',
    'WORST MS',
    'HEARD',
  ];
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = [
    table(head, rows, head.slice(4)).trimEnd(),
    '',
    ...findings.map(
      ({ outcome, name, about, reason }) =>
        `${MARKS[outcome]} ${name.padEnd(width)}  ${about.padEnd(7)}  ${plainLine(reason, 300)}`,
    ),
    ...(work === null ? [] : [`the fault did: ${work.done} ${work.unit}`]),
    ...notes.map((note) => `note: ${plainLine(note)}`),
    '',
    `${fault} in ${kernels[0]!.name}${live ? '' : ' (on clones)'}: ${VERDICTS[verdict]}`,
  ];
  return `${lines.join('\n')}\n`;
}
