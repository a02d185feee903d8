/** Ending a daemon and knowing that it is gone: until then it writes its files, and what removes or replaces them does so under its feet. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PolykernelError } from '../sys/errors.ts';
import type { Layout } from '../sys/paths.ts';
import { processStartTime } from '../sys/process.ts';
import type { Client } from './client.ts';
import { daemonProcess } from './daemon-process.ts';

const END_MS = 10_000;
const POLL_MS = 20;

/** Asks the daemon that `client` speaks to, of the state in `paths`, to end; kernels go on. Resolves once it is gone, rejects `internal` after 10 s. */
export async function endDaemon(client: Client, paths: Layout): Promise<void> {
  const { pid } = await client.version();
  const daemon = daemonProcess(pid, paths);
  await client.shutdown();
  // Its zombie is no daemon: in a container nobody may take that away. In one it may be no process of ours: it is gone when it is silent.
  const isGone = async () =>
    daemon === undefined
      ? await client.version().then(
          () => false,
          () => true,
        )
      : processStartTime(pid) !== daemon.startTime;
  for (const deadline = performance.now() + END_MS; !(await isGone()); await sleep(POLL_MS)) {
    if (performance.now() > deadline)
      throw new PolykernelError('internal', `the daemon (pid ${pid}) did not end in ${END_MS / 1000} s`);
  }
}
