import { list } from '../kit/list.ts';
import { HEALTH_COLUMNS } from './text.ts';

export const command = list(
  {
    summary: 'list how instances do',
    description:
      'A health is not a state: what runs may be hung, or starved by this machine. docs/health.md says what each is told by.',
    examples: [
      ['pk health ls', 'all of them'],
      ['pk health ls --filter health=hung', 'who says nothing'],
    ],
  },
  (client) => client.health(),
  { columns: HEALTH_COLUMNS, name: ({ name }) => name, filters: { health: ({ health }, value) => health === value } },
);
