/** The helper thread of FutexBell: told the value to sleep on, it answers when the word no longer has it. */
import { parentPort, workerData } from 'node:worker_threads';
import { futexWaitAt } from '../sys/memory.ts';

parentPort!.on('message', (expected: number) => {
  futexWaitAt(workerData as bigint, expected);
  parentPort!.postMessage(null);
});
