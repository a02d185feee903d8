import { change } from './change.ts';

export const command = change(
  {
    summary: 'take back what nobody owns',
    description:
      "Without --memory the pool keeps its memory. Refused, with the owner's name, for what an instance owns.",
    examples: [['pk pool shrink --cpus 14-15', 'two CPUs back to the host']],
  },
  (client, request) => client.shrinkPool(request),
);
