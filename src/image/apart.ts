/**
 * Reads kernels and modules of others in a process of its own, which has bounds on memory and time and is killed when it
 * goes over one: whatever a parser makes of a hostile file, the daemon goes on. Not a thread: one that fills its heap can
 * neither be counted on to end nor be ended. What it unpacks runs in jails, which die with it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { toolEnvironment } from '../sys/environment.ts';
import { type ErrorBody, PolykernelError } from '../sys/errors.ts';
import { nodeCommand } from '../sys/node.ts';
import { killGroup } from '../sys/process.ts';
import { toolPath } from '../sys/tools.ts';
import { formatDuration } from '../sys/units.ts';
import type { KernelSource } from './debian.ts';
import { INGEST_DEADLINE_MS } from './kernel-bounds.ts';
import type { ImageContent } from './manifest.ts';

const PROGRAM = fileURLToPath(new URL('./ingest-process.ts', import.meta.url));
/** Of JavaScript's heap; modules and the pieces of a kernel lie outside of it, in what DATA_BYTES bounds. */
const HEAP_MIB = 512;
const DATA_BYTES = 2 ** 31;
const SAID_BYTES = 2000;
/** Milliseconds in which it can end its tools; a parser that loops cannot. Then, in which it dies: not where a file system holds it. */
const GRACE_MS = 2000;

export interface IngestTask {
  source: KernelSource;
  /** Of the blob store. */
  directory: string;
}

export type IngestMessage =
  | { kind: 'progress'; line: string }
  | { kind: 'content'; content: ImageContent }
  | { kind: 'error'; body: ErrorBody };

export interface ApartOptions {
  progress?: (line: string) => void;
  signal?: AbortSignal | undefined;
  /** Milliseconds; default: INGEST_DEADLINE_MS. */
  deadlineMs?: number;
  /** MiB of JavaScript's heap; default: HEAP_MIB. */
  heapMib?: number;
  /** Path of the process's program; default: ingest(). */
  program?: string;
}

export const parseTask = (text: string): IngestTask => JSON.parse(text) as IngestTask;

/**
 * ingest() in a process. Throws as it does, `invalid` when a bound is reached, and the reason of `signal`.
 * When it returns or throws the process is gone, or is held by a file system that does not answer: then it does nothing more.
 */
export async function ingestApart(task: IngestTask, options: ApartOptions = {}): Promise<ImageContent> {
  const { progress, signal, deadlineMs = INGEST_DEADLINE_MS, heapMib = HEAP_MIB } = options;
  signal?.throwIfAborted();
  const child = start(task, options.program ?? PROGRAM, heapMib);
  const { promise, resolve, reject } = Promise.withResolvers<ImageContent>();
  const { promise: gone, resolve: ended } = Promise.withResolvers<void>();
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-SAID_BYTES);
  });
  child.stdin!.on('error', () => {});
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const message = JSON.parse(line) as IngestMessage;
    if (message.kind === 'progress') progress?.(message.line);
    else if (message.kind === 'content') resolve(message.content);
    else reject(PolykernelError.fromJSON(message.body));
  });
  child.once('error', (error) => {
    reject(new PolykernelError('internal', `the process that reads kernels could not be started: ${error.message}`));
    ended();
  });
  child.once('close', (code, killed) => {
    reject(unreadable(`the process that reads it ended with ${code ?? killed}${outOfMemory(said, heapMib)}`));
    ended();
  });
  const late = `it takes longer than ${formatDuration(deadlineMs)}, which is the bound`;
  const timer = setTimeout(() => reject(unreadable(late)), deadlineMs);
  const onAbort = () => reject(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    child.kill('SIGTERM');
    await endOf(child, gone);
  }
}

/** Killed where it does not end by itself. */
async function endOf(child: ChildProcess, gone: Promise<void>): Promise<void> {
  const left = new AbortController();
  const patience = async () => {
    await delay(GRACE_MS, undefined, { signal: left.signal });
    killGroup(child.pid);
    await delay(GRACE_MS, undefined, { signal: left.signal });
  };
  await Promise.race([gone, patience().catch(() => {})]);
  left.abort();
  child.stdout!.destroy();
  child.stderr!.destroy();
  child.unref();
}

function start(task: IngestTask, program: string, heapMib: number): ChildProcess {
  const seconds = Math.ceil(INGEST_DEADLINE_MS / 1000);
  // Soft ones: jails below have others, and only root could raise what is final.
  const limits = [`--data=${DATA_BYTES}:`, `--cpu=${seconds}:`, '--core=1'];
  const node = nodeCommand(program, [JSON.stringify(task)], [`--max-old-space-size=${heapMib}`]);
  const argv = [...limits, '--', ...node];
  return spawn(toolPath('prlimit').path, argv, {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    env: toolEnvironment(),
  });
}

function outOfMemory(said: string, heapMib: number): string {
  return said.includes('out of memory') ? `: it takes more than ${heapMib} MiB of memory, which is the bound` : '';
}

function unreadable(reason: string): PolykernelError {
  return new PolykernelError('invalid', `the kernel or one of its modules cannot be read: ${reason}`, {
    field: 'kernel',
    hint: 'Give the kernel as its distribution or its own build made it.',
  });
}
