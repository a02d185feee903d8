import { change } from './change.ts';

export const command = change(
  {
    summary: 'give up more',
    description: 'Adds to the pool; instances that run are not touched.',
    examples: [['pk pool grow --cpus 16-19 --memory 8G', 'four CPUs and memory more']],
  },
  (client, request) => client.growPool(request),
);
