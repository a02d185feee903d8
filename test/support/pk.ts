/** Drives the product as a user does: `bin/pk` as a process, on a state directory of the test's own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostProcesses } from './host-processes.ts';

export const PK = join(import.meta.dirname, '../../bin/pk');

export interface Ran {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export class Sandbox {
  readonly home: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #argv: readonly string[];

  /** `prefix`: a program and arguments that run `pk`, such as another user. `pk`: of another version than this checkout's. */
  constructor(home: string, env: NodeJS.ProcessEnv, prefix: readonly string[] = [], pk = PK) {
    this.home = home;
    this.env = env;
    this.#argv = [...prefix, pk];
  }

  static async create(env: NodeJS.ProcessEnv = {}): Promise<Sandbox> {
    const home = await mkdtemp(join(tmpdir(), 'pk-'));
    return new Sandbox(home, { ...process.env, ...env, POLYKERNEL_HOME: home, NO_COLOR: '1' });
  }

  start(...args: string[]): ChildProcess {
    const [program, ...first] = this.#argv;
    return spawn(program!, [...first, ...args], { env: this.env, stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** Runs `pk ...args`, feeding `input`, and gives all it said. */
  async pk(args: readonly string[], input = ''): Promise<Ran> {
    const child = this.start(...args);
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    return finished(child);
  }

  /** Like pk, but the command must succeed. */
  async ok(...args: string[]): Promise<string> {
    const ran = await this.pk(args);
    if (ran.code !== 0) throw new Error(`pk ${args.join(' ')}: exit ${ran.code ?? ran.signal}\n${ran.stderr}`);
    return ran.stdout;
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.ok(...args, '--json')) as T;
  }

  /** Host processes that belong to this state directory. */
  processes(): Promise<number[]> {
    return hostProcesses(this.home);
  }

  /** Ends all that runs here. */
  async [Symbol.asyncDispose](): Promise<void> {
    const all = await this.pk(['ps', '-a', '--json']);
    if (all.code === 0) {
      for (const { spec } of JSON.parse(all.stdout) as { spec: { name: string } }[])
        await this.pk(['rm', '-f', spec.name]);
    }
    await this.pk(['pool', 'release']);
    await this.pk(['daemon', 'stop']);
    for (const pid of await this.processes()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {}
    }
    await rm(this.home, { recursive: true, force: true });
  }
}

export function finished(child: ChildProcess): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** Waits until `condition` gives a truthy value, looking again as fast as it answers. */
export async function until<T>(
  what: string,
  condition: () => Promise<T> | T,
  deadlineMs = 60_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) return value as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
