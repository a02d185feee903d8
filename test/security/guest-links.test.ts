/** Links that a guest leaves in its volumes, where somebody gives a path through them to another instance. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startDaemon } from '../support/harness.ts';

it('are not followed by what is created while the guest may write there', async () => {
  const test = await startDaemon();
  const directory = mkdtempSync(join(tmpdir(), 'pk-guest-links-'));
  try {
    mkdirSync(join(directory, 'data'));
    await test.create({ name: 'first', command: ['sleep'], start: false, volumes: [volume(join(directory, 'data'))] });
    symlinkSync('/etc', join(directory, 'data/shared'));
    const other = { name: 'other', command: ['sleep'], volumes: [volume(join(directory, 'data/shared'))] };
    await expect(test.create(other)).rejects.toMatchObject({ code: 'conflict', field: 'volumes[0].source' });
    await test.client.remove('first');
    await test.create({ ...other, start: false });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

it('are not followed by the start of one that was given another root before the guest made them', async () => {
  const test = await startDaemon();
  const directory = mkdtempSync(join(tmpdir(), 'pk-guest-links-'));
  const root = join(directory, 'data/root');
  try {
    mkdirSync(root, { recursive: true });
    await test.create({ name: 'first', command: ['sleep'], start: false, volumes: [volume(join(directory, 'data'))] });
    await test.create({ name: 'other', command: ['sleep'], start: false });
    await test.client.upgrade('other', { root });
    rmSync(root, { recursive: true });
    symlinkSync('/etc', root);
    await expect(test.client.start('other')).rejects.toMatchObject({ message: expect.stringContaining('root') });
    expect((await test.client.inspect('other')).exit?.message).toMatch(/^root: on the way to /);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

const volume = (source: string) => ({ source, target: '/data', readOnly: false });
