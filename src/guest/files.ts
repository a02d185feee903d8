/** Files into and out of a guest, each through a session of its own. */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileError } from './messages.ts';
import type { GuestProcess } from './process.ts';

/** See GuestLink.readFile(). */
export async function receiveFile(transfer: GuestProcess, path: string): Promise<Readable> {
  transfer.stdin.end();
  const { stdout } = transfer;
  // Whether it ends well shows only at the end: the consumer learns of a read error or a lost guest as an error.
  const settled = transfer.exited.then((exit) => {
    if (exit.kind === 'failed') stdout.destroy(fileError('reading', path, exit));
    transfer.forget();
  });
  await Promise.race([transfer.firstOutput, settled]);
  if (transfer.exit?.kind === 'failed') {
    stdout.on('error', () => {});
    throw fileError('reading', path, transfer.exit);
  }
  stdout.once('close', () => transfer.forget());
  return stdout;
}

/** See GuestLink.writeFile(). */
export async function sendFile(transfer: GuestProcess, path: string, content: Readable | Uint8Array): Promise<void> {
  try {
    if (content instanceof Uint8Array) transfer.stdin.end(content);
    else await pipeline(content, transfer.stdin);
    const exit = await transfer.exited;
    if (exit.kind === 'failed') throw fileError('writing', path, exit);
  } finally {
    transfer.forget();
  }
}
