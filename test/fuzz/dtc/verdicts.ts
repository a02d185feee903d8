/** What dtc says of many inputs, at a fraction of what a process for each would take: server.c. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { run } from '../../../src/sys/process.ts';
import { findTool, toolPath } from '../../../src/sys/tools.ts';
import { type Compiled, hasDtc } from '../../support/dtc.ts';

/** Whether this machine can be asked. */
export const canAskDtc = hasDtc && findTool('gcc') !== undefined;

/** Where files need no disk. */
const IN_MEMORY = '/dev/shm';

export class Dtc {
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly #codes: AsyncIterator<string>;

  private constructor(directory: string, process: ChildProcess) {
    this.#directory = directory;
    this.#process = process;
    this.#codes = createInterface({ input: process.stdout! })[Symbol.asyncIterator]();
  }

  /** `args`: of each run; `cwd`: where it looks for the files of sources. */
  static async start(args: readonly string[], cwd: string): Promise<Dtc> {
    const directory = mkdtempSync(join(existsSync(IN_MEMORY) ? IN_MEMORY : tmpdir(), 'pk-dtc-'));
    const library = join(directory, 'server.so');
    const gcc = toolPath('gcc');
    const source = join(import.meta.dirname, 'server.c');
    const argv = [gcc.path, '-O1', '-Wall', '-Werror', '-shared', '-fPIC', '-o', library, source];
    const { code, stderr } = await run(argv, { env: { ...process.env, ...gcc.env } });
    if (code !== 0) throw new Error(`dtc/server.c: ${stderr}`);
    const { path, env } = toolPath('dtc');
    const child = spawn(path, ['-q', ...args, '-'], {
      cwd,
      env: { ...process.env, ...env, LD_PRELOAD: library, PK_DTC_DIRECTORY: directory },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return new Dtc(directory, child);
  }

  /** In the order of `inputs`. Of what it dies of, nothing is said. */
  async verdicts(inputs: readonly Buffer[]): Promise<Compiled[]> {
    const file = (kind: string, index: number) => join(this.#directory, `${kind}${index}`);
    for (const [index, input] of inputs.entries()) writeFileSync(file('in', index), input);
    this.#process.stdin!.write(inputs.map((_, index) => `${index}\n`).join(''));
    const all: Compiled[] = [];
    for (const index of inputs.keys()) {
      const { value, done } = await this.#codes.next();
      if (done) throw new Error(`dtc ended after ${index} of ${inputs.length} inputs`);
      const output = value === '0' ? readFileSync(file('out', index)) : undefined;
      all.push({ output, said: Number(value) > 128 ? '' : readFileSync(file('err', index), 'latin1') });
    }
    return all;
  }

  async end(): Promise<void> {
    const gone = this.#process.exitCode === null ? once(this.#process, 'exit') : undefined;
    this.#process.stdin!.end();
    await gone;
    rmSync(this.#directory, { recursive: true });
  }
}
