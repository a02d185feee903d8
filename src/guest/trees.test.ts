import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import type { GuestExit, GuestProcess } from './process.ts';
import { receiveTree, sendTree } from './trees.ts';

/** A packer whose output has ended, and that says only after this how it went. */
function packer(says: string) {
  const stdout = Object.assign(new PassThrough(), { waiting: 3 });
  const stderr = new PassThrough();
  const { promise: exited, resolve: exit } = Promise.withResolvers<GuestExit>();
  let forgotten = false;
  const forget = () => {
    forgotten = true;
  };
  stdout.end('tar');
  stderr.write(says);
  const process = { stdin: new PassThrough(), stdout, stderr, exited, firstOutput: Promise.resolve(), forget };
  const ended = new Promise((resolve) => stdout.once('end', resolve));
  return { process: process as unknown as GuestProcess, exit, ended, isForgotten: () => forgotten };
}

it.each([
  [0, '', undefined],
  [1, 'errno=28 /etc//x/./d/.', 'reading /etc/x/d in the guest failed: no space left on device'],
  [1, 'refused=a device', '/etc is a device, and no file or directory'],
  [1, 'errno=13 etc/shadow', 'reading /etc/shadow in the guest failed: permission denied'],
])(
  'an archive whose output ends is whole only when its packer ends with 0, and not with %i',
  async (value, says, why) => {
    const { process, exit, ended, isForgotten } = packer(says);
    const reading = buffer(await receiveTree(process, '/etc')).then(
      (content) => content.toString(),
      (error: Error) => error.message,
    );
    await ended;
    expect(isForgotten()).toBe(false);
    exit({ kind: 'exit', value, message: '' });
    expect(await reading).toBe(why ?? 'tar');
    expect(isForgotten()).toBe(true);
  },
);

it('who reads no more has the packer forgotten', async () => {
  const { process, isForgotten } = packer('');
  const archive = await receiveTree(process, '/etc');
  const closed = new Promise((resolve) => archive.once('close', resolve));
  archive.destroy();
  await closed;
  expect(isForgotten()).toBe(true);
});

it.each([
  [
    'owner=70000:4294967294 /data/x/.',
    'writing /data/x in the guest failed: nothing there can belong to 70000:4294967294',
  ],
  ['owner=70000 /data/x', 'writing /data/x in the guest failed: nothing there can belong to 70000'],
  ['errno=12:13 /data/x', 'writing /data in the guest failed: errno=12:13 /data/x'],
])('what an agent says of a file that it cannot make is told: %s', async (says, why) => {
  const { process, exit, ended } = packer(says);
  const sending = sendTree(process, '/data', Buffer.from('tar'));
  await ended;
  exit({ kind: 'exit', value: 1, message: '' });
  await expect(sending).rejects.toThrow(why);
});
