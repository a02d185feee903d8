import { list } from '../kit/list.ts';
import { CHANNEL_COLUMNS } from './text.ts';

export const command = list(
  {
    summary: 'list channels',
    description: 'STATE is ok, error, closed by its sender, or the end that does not see the memory: `to pending`.',
    examples: [['pk channel ls', 'who sends to whom, and how much is under way']],
  },
  (client) => client.channels(),
  { columns: CHANNEL_COLUMNS, name: ({ name }) => name },
);
