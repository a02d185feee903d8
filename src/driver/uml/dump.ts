/**
 * The memory of a User Mode Linux kernel, read by a process of its own: what is read of a VMM's process in /proc, its mappings and
 * its memory, that VMM can keep from being read for as long as it likes.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { toolEnvironment } from '../../sys/environment.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { nodeCommand } from '../../sys/node.ts';
import { plainLine } from '../../sys/text.ts';
import { launchThreads } from '../shim/launch-threads.ts';
import type { CoreTask } from './read-core.ts';
import { umlThreads } from './threads.ts';

const PROGRAM = fileURLToPath(new URL('./dump-process.ts', import.meta.url));
const SAID_CHARACTERS = 1_000;

export async function dumpUml(
  directory: string,
  memoryBytes: number,
  mostBytes: number,
  signal: AbortSignal,
): Promise<AsyncGenerator<Buffer>> {
  signal.throwIfAborted();
  const { vmm } = umlThreads(launchThreads(directory));
  if (vmm === 0) throw new PolykernelError('kernel-died', `no kernel runs in ${directory}`);
  return pieces({ pid: vmm, memoryBytes, mostBytes }, signal);
}

async function* pieces(task: CoreTask, signal: AbortSignal): AsyncGenerator<Buffer> {
  const [program, ...args] = nodeCommand(PROGRAM, [JSON.stringify(task)]);
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'], env: toolEnvironment() });
  const closed = once(child, 'close') as Promise<[number | null]>;
  closed.catch(() => {});
  // One that /proc keeps does not answer to that; its output ends all the same.
  const leave = () => {
    child.kill('SIGKILL');
    child.stdout.destroy(signal.reason as Error);
  };
  signal.addEventListener('abort', leave, { once: true });
  child.stdin.on('error', () => {});
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-SAID_CHARACTERS);
  });
  let bytes = 0;
  try {
    for await (const piece of child.stdout as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > task.mostBytes)
        throw new PolykernelError('internal', `there is more than the ${task.mostBytes} bytes that its guest can need`);
      yield piece;
    }
    const [code] = await closed;
    if (code !== 0) throw new PolykernelError('internal', `its memory could not be read: ${plainLine(said.trim())}`);
  } finally {
    signal.removeEventListener('abort', leave);
    child.kill('SIGKILL');
    child.stdout.destroy();
    child.stderr.destroy();
    child.unref();
  }
}
