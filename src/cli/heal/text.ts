/** Healings as commands show them. */
import type { Healing, HealStatus } from '../../heal/contract.ts';
import { plainLine } from '../../sys/text.ts';
import { formatDuration } from '../../sys/units.ts';
import { age, type Column } from '../kit/table.ts';

const heldText = ({ heldUntil, acknowledged }: HealStatus): string =>
  heldUntil !== null ? `until ${heldUntil}` : acknowledged ? 'acknowledged' : '-';

export const HEAL_COLUMNS: readonly Column<HealStatus>[] = [
  ['NAME', ({ name }) => name],
  ['STATE', ({ state }) => state],
  ['RESTART', ({ restart }) => restart],
  ['HEAL', ({ heal }) => heal],
  ['HELD', heldText],
  ['LAST', ({ last }) => (last === null ? '-' : `${last.cause}: ${last.outcome}, ${age(last.at)} ago`)],
];

export function heldLine(status: HealStatus): string {
  const held = heldText(status);
  return held === '-' ? `${status.name} is healed as it says\n` : `${status.name} is not healed: ${held}\n`;
}

export function healingText({ at, name, cause, why, attempt, outcome, note, tookMs }: Healing): string {
  const took = tookMs === null ? '' : ` in ${formatDuration(tookMs)}`;
  const more = note === '' ? '' : ` (${plainLine(note)})`;
  return `${at}  ${name}  ${cause}, attempt ${attempt}: ${outcome}${took}${more}\n    ${plainLine(why) || 'no words'}\n`;
}
