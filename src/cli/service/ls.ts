import { list } from '../kit/list.ts';
import { SERVICE_COLUMNS } from './text.ts';

export const command = list(
  {
    summary: 'list services',
    description: 'UP counts targets that get requests. P50 and P99 are of the last five minutes. SLO: see pk slo.',
    examples: [['pk service ls', 'what is served, and how well']],
  },
  (client) => client.services(),
  { columns: SERVICE_COLUMNS, name: ({ name }) => name },
);
