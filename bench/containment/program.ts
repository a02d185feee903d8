/** pk-trial (native/trial): in a kernel, through the API, or as a process of this machine. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../../src/client/index.ts';
import { parse } from '../../src/containment/probe.ts';
import { nativeBinary } from '../../src/sys/paths.ts';

/** Each start has a file of its own: one that runs cannot be written to. */
let starts = 0;
/** Between two requests of a probe. */
export const PERIOD_MS = 5;
/** Nothing runs longer. */
const MOST_SECONDS = 120;
const KILL = 9;
const END_MS = 2_000;
/** How often a fault tells of its work. */
const TELL_MS = 100;
/** A hog that has taken all memory by then is at work. */
const RATE_MS = 20_000;

export interface Program {
  go(): void;
  /** Resolves when it has ended, or its kernel is past telling. */
  end(): Promise<void>;
}

interface Running {
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  exited: Promise<unknown>;
  close(): void;
}

async function begin(running: Running, kill: () => void, what: string, say: (line: string) => void): Promise<Program> {
  let complaint = '';
  running.stderr.on('data', (data) => {
    complaint += data;
  });
  const begun = Promise.withResolvers<void>();
  let rest = '';
  running.stdout.setEncoding('latin1').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (line === 'begin') begun.resolve();
      else say(line);
    }
  });
  const ended = () => begun.reject(new Error(`${what}: ${complaint || 'it ended'}`));
  running.exited.then(ended, ended);
  await begun.promise;
  return {
    go: () => void running.stdin.end('\n'),
    async end() {
      kill();
      await Promise.race([running.exited, pause(END_MS)]).catch(() => {});
      running.close();
    },
  };
}

/** Starts pk-trial somewhere; `say` gets the lines that come once it is ready. */
export type Start = (args: readonly string[], say: (line: string) => void) => Promise<Program>;

/** In a kernel. `before`: a shell script to run first, in the same process. */
export const inKernel =
  (client: Client, instance: string, before?: string): Start =>
  async (args, say) => {
    const program = `/tmp/pk-trial-${++starts}`;
    await client.putFile(instance, program, readFileSync(nativeBinary('pk-trial')), { mode: '0755' });
    const own = [program, ...args];
    const command = before === undefined ? own : ['sh', '-c', `${before}\nexec "$@"`, 'sh', ...own];
    const remote = await client.exec(instance, { command });
    return await begin(remote, () => remote.signal(KILL), `${instance}: ${args.join(' ')}`, say);
  };

/** On one CPU of this machine, with all that it starts. */
export const onCpu =
  (cpu: number): Start =>
  async (args, say) => {
    const child = spawn('taskset', ['-c', String(cpu), nativeBinary('pk-trial'), ...args], { detached: true });
    const { stdin, stdout, stderr, pid } = child;
    const running = { stdin, stdout, stderr, exited: once(child, 'exit'), close: () => {} };
    const kill = () => {
      if (child.exitCode === null && child.signalCode === null) process.kill(-pid!, 'SIGKILL');
    };
    return await begin(running, kill, `pk-trial ${args.join(' ')}`, say);
  };

/** Latencies in milliseconds by when the request was due, of `performance.now()`. */
export interface Probe extends Program {
  done: Map<number, number>;
  begunMs: number;
}

export async function startProbe(start: Start, disk?: string): Promise<Probe> {
  const done = new Map<number, number>();
  const args = ['probe', String(PERIOD_MS * 1000), String(MOST_SECONDS), ...(disk === undefined ? [] : [disk])];
  const program = await start(args, (line) => {
    const [kind, index, latencyUs] = parse(line);
    if (kind === 'r' && index !== undefined && latencyUs !== undefined) done.set(index, latencyUs / 1000);
  });
  return { ...program, done, begunMs: performance.now() };
}

export interface Fault extends Program {
  /** Its work a second, once it has been at it for `ms`; of what there is, where it does not get that far. */
  rate(ms: number): Promise<number>;
}

/** Ready to be let go. */
export async function startFault(start: Start, fault: string, args: readonly string[] = []): Promise<Fault> {
  let last = { ms: 0, done: 0 };
  const say = (line: string) => {
    const [kind, ms, done] = parse(line);
    if (kind === 'w' && ms !== undefined && done !== undefined) last = { ms, done };
  };
  const program = await start(['fault', fault, String(MOST_SECONDS), ...args], say);
  const rate = async (ms: number) => {
    const deadline = performance.now() + RATE_MS;
    while (last.ms < ms && performance.now() < deadline) await pause(TELL_MS);
    return last.ms === 0 ? 0 : (last.done / last.ms) * 1000;
  };
  return { ...program, rate };
}
