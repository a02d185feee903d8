import { list } from '../kit/list.ts';
import { HEAL_COLUMNS } from './text.ts';

export const command = list(
  {
    summary: 'list of what instances are healed, and who is held off',
    description: 'RESTART says what is done when one ends, HEAL of what it gets a new kernel whatever RESTART says.',
    examples: [['pk heal ls', 'all of them']],
  },
  (client) => client.heal(),
  { columns: HEAL_COLUMNS, name: ({ name }) => name },
);
