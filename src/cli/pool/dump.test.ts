import { expect, it } from 'vitest';
import { parse } from '../kit/command.ts';
import { command } from './dump.ts';

it('no stack file is made under a name that none may have', async () => {
  const dumping = async () => command.run(parse('pool dump', command, ['--stack', 'A B']));
  await expect(dumping()).rejects.toMatchObject({ code: 'invalid', field: '--stack', value: 'A B' });
});
