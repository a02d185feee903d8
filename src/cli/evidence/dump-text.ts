/** The memory of a kernel, for people: the end of its log, why it went, and where its CPUs were. */
import { plainLine } from '../../sys/text.ts';
import { formatBytes } from '../../sys/units.ts';
import type { DumpSummary } from './memory/open-dump.ts';
import { registerLines } from './memory/registers.ts';

const LINES = 25;

export function dumpText(path: string, summary: DumpSummary, whole: { log: boolean; registers: boolean }): string {
  const { format, bytes, release, registers, noLog } = summary;
  const log = summary.log.flatMap((line) => line.split('\n')).map((line) => plainLine(line));
  const panic = log.findLast((line) => line.includes('Kernel panic - not syncing') && !line.includes('---['));
  const shown = whole.log ? log : log.slice(-LINES);
  return [
    `Memory in ${plainLine(path)}: ${format}, ${formatBytes(bytes)}, Linux ${plainLine(release ?? 'unknown', 100)}`,
    ...(panic === undefined ? [] : [`Panic: ${panic}`]),
    noLog === ''
      ? `Kernel log (${shown.length} of ${log.length} lines${whole.log ? '' : '; all with --log'}):`
      : `No kernel log: ${noLog}`,
    ...shown.map((line) => `  | ${line}`),
    registers.length === 0 ? 'No registers' : 'Registers:',
    ...registerLines(registers, whole.registers).map((line) => `  ${line}`),
    '',
  ].join('\n');
}
