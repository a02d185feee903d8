import { expect, it } from 'vitest';
import { nativeProgram } from '../../../test/support/native.ts';
import { cloneParts } from './clone.ts';

it('gives a clone its template from read-only mounts of its jail, and no descriptor of the host’s', async () => {
  await nativeProgram('pk-ram.so');
  const { binds, opened } = cloneParts({ key: 'k', ram: '/cache/ram', state: '/cache/state' });
  const state = binds.find(({ source }) => source === '/cache/state');
  expect(state).toMatchObject({ access: 'read', target: opened?.path });
  expect(binds.filter(({ access }) => access !== 'read')).toEqual([]);
});
