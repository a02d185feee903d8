import { onEach } from '../kit/on-each.ts';

export const command = onEach(
  {
    summary: 'remove kernel images',
    options: {},
    complete: 'image',
    examples: [['pk image rm mine', 'refused while an instance uses it']],
  },
  (client, name) => client.removeImage(name),
);
