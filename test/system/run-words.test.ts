import { expect, it } from 'vitest';
import { command as run } from '../../src/cli/instance/run.ts';
import { candidates } from '../../src/cli/kit/complete.ts';
import { createRequestSchema } from '../../src/instance/schema.ts';

it('--network has the words of the API, which the shell offers', async () => {
  const { enum: words } = createRequestSchema.properties.network;
  expect(run.options.network?.choices).toEqual(words);
  expect(await candidates(['run', '--network', ''])).toEqual(words);
});
