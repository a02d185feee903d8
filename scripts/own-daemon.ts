/** A daemon that a script or a bench has for itself: all that it made goes with it. */
import { existsSync, rmSync } from 'node:fs';
import { endDaemon } from '../src/client/end-daemon.ts';
import { type Client, connect, PolykernelError } from '../src/client/index.ts';
import { layout } from '../src/sys/paths.ts';

/** Removes what the daemon of `home` has made, it and the directory. Rejects with what could not be removed. */
export async function removeDaemon(home: string): Promise<void> {
  const paths = layout(home);
  // One that was killed has left its kernels running: another one takes them up.
  if (existsSync(paths.database)) {
    const client = await connect({ home });
    await removeAll(client);
    await endDaemon(client, paths);
  }
  rmSync(home, { recursive: true, force: true });
}

async function removeAll(client: Client): Promise<void> {
  for (const { name } of await client.services()) await unlessGone(client.removeService(name));
  const instances = await client.list();
  await Promise.all(instances.map(({ spec }) => unlessGone(client.remove(spec.name, { force: true }))));
  for (const { name } of await client.channels()) await unlessGone(client.removeChannel(name, { force: true }));
  // There may be none.
  await client.releasePool().catch(() => {});
}

/** A foreground instance removes itself when its command has ended, perhaps between the list and this. */
async function unlessGone(removal: Promise<unknown>): Promise<void> {
  await removal.catch((error) => {
    if (!(error instanceof PolykernelError) || error.code !== 'not-found') throw error;
  });
}
