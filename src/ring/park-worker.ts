/** The helper thread of a Sleeper: told the value to sleep on and how long, it answers when that is over. */
import { parentPort, workerData } from 'node:worker_threads';
import { futexWaitAt } from '../sys/memory.ts';

parentPort!.on('message', ({ expected, timeoutMs }: { expected: number; timeoutMs: number | undefined }) => {
  futexWaitAt(workerData as bigint, expected, timeoutMs);
  parentPort!.postMessage(null);
});
