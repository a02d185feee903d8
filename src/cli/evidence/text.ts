/** What was kept of an instance, for people. */
import type { Core } from '../../evidence/contract.ts';
import { plainLine, plainText } from '../../sys/text.ts';
import { formatBytes } from '../../sys/units.ts';
import { healingText } from '../heal/text.ts';
import { healthText } from '../health/text.ts';

const LINES = 25;
const EVENTS = 20;

export function coreText(core: Core, whole: { console: boolean; registers: boolean }): string {
  const { status, stats, registers, noRegisters } = core;
  const { spec, exit } = status;
  const lines = core.console.flatMap((text) => plainText(text).split('\n')).filter((line) => line !== '');
  const parts = [
    `${plainLine(spec.name)} on ${plainLine(spec.driver)}, kernel ${plainLine(status.kernelRelease ?? 'unknown')}, as of ${plainLine(core.at)}`,
    exit === null
      ? 'no run of it has ended'
      : `its last run ended by ${exit.reason} at ${exit.at}: ${plainLine(exit.message)}`,
    healthText(core.health).trimEnd(),
    stats === null ? 'no numbers' : `memory ${formatBytes(spec.memoryBytes)}, restarts ${status.restarts}`,
    '',
    'What happened:',
    ...core.events.slice(-EVENTS).map(({ at, type, message }) => `  ${at}  ${type}  ${plainLine(message)}`.trimEnd()),
    '',
    'What was healed:',
    ...(core.healings.length === 0 ? ['  nothing'] : core.healings.map((each) => `  ${healingText(each).trimEnd()}`)),
    '',
    `Console (${whole.console ? lines.length : Math.min(LINES, lines.length)} of ${lines.length} lines):`,
    ...(whole.console ? lines : lines.slice(-LINES)).map((line) => `  | ${line}`),
    '',
    registers === null ? `No registers: ${plainLine(noRegisters)}` : registersText(registers, whole.registers),
  ];
  return `${parts.join('\n')}\n`;
}

/** Where each CPU was; the rest when asked for. */
function registersText(text: string, isWhole: boolean): string {
  const lines = plainText(text).split('\n');
  const shown = isWhole ? lines : lines.filter((line) => /^CPU#|^RIP=|^CR0=/.test(line));
  return `Registers${isWhole ? '' : ' (more with --registers)'}:\n${shown.map((line) => `  ${line}`.trimEnd()).join('\n')}`;
}
