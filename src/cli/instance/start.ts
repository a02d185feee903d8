import { onEach } from '../kit/on-each.ts';

export const command = onEach(
  {
    summary: 'start instances',
    description: 'One that runs already is left as it is.',
    examples: [['pk start web', 'boot it again']],
  },
  async (client, name) => {
    try {
      await client.start(name);
    } catch (error) {
      const runs = await client.inspect(name).then(
        ({ state }) => state === 'running',
        () => false,
      );
      if (!runs) throw error;
    }
  },
);
