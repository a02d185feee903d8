/** Runs examples: each in a shell of its own at the top of the checkout, with a state directory of its own. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeDaemon } from '../own-daemon.ts';
import type { Example, Step } from './examples.ts';
import { difference } from './match.ts';

const ROOT = join(import.meta.dirname, '../..');
const DEADLINE_MS = 120_000;

/** What was wrong with it, each with file and line; empty: it is as the document says. */
export async function play(example: Example, log: (line: string) => void): Promise<string[]> {
  const home = mkdtempSync('/tmp/pk-docs-');
  const made: string[] = [];
  const shell = new Shell(home);
  try {
    for (const command of example.first) await shell.run(command);
    if (example.language === 'yaml') return await validate(example, shell, home);
    const faults: string[] = [];
    for (const step of example.steps) {
      log(`${example.file}:${step.line}: ${step.skipped === null ? step.command : `(${step.skipped})`}`);
      if (step.skipped !== null || makes(step, made)) continue;
      if (step.wait !== null) await shell.run(`until ${step.wait}; do sleep 0.1; done`);
      const fault = judge(step, await shell.run(step.command));
      if (fault === null) continue;
      faults.push(`${example.file}:${step.line}: ${step.command}\n${fault}`);
      break;
    }
    return faults;
  } finally {
    shell.end();
    for (const path of made) rmSync(path, { force: true });
    await removeDaemon(home);
  }
}

/** `cat FILE` shows the reader what FILE is to hold. */
function makes({ command, shown }: Step, made: string[]): boolean {
  const file = /^cat ([\w.-]+)$/.exec(command)?.[1];
  if (file === undefined || existsSync(join(ROOT, file))) return false;
  made.push(join(ROOT, file));
  writeFileSync(join(ROOT, file), `${shown.join('\n')}\n`, { flag: 'wx' });
  return true;
}

/** What is told about a checkout that lies where its kernels may not see it, such as below /root. */
const OF_THE_PLACE = /^pk: it works in \/ and not in .*\n/m;

function judge({ shown }: Step, { status, printed }: Ended): string | null {
  if (shown.length > 0) return difference(shown, printed.replace(OF_THE_PLACE, ''));
  return status === 0 ? null : `it ended with ${status}: ${printed}`;
}

async function validate({ file, line, text }: Example, shell: Shell, home: string): Promise<string[]> {
  writeFileSync(join(home, 'polykernel.yaml'), text);
  const { status, printed } = await shell.run(`pk validate -f ${join(home, 'polykernel.yaml')}`);
  return status === 0 ? [] : [`${file}:${line}: ${printed}`];
}

interface Ended {
  status: number;
  /** Both outputs, as a terminal would show them. */
  printed: string;
}

/** One shell, for commands that build on each other. */
class Shell {
  readonly #child;

  constructor(home: string) {
    const env = {
      ...process.env,
      POLYKERNEL_HOME: home,
      PATH: `${join(ROOT, 'bin')}:${process.env.PATH}`,
      NO_COLOR: '1',
    };
    this.#child = spawn('bash', [], { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    this.#child.stdout.setEncoding('utf8');
  }

  run(command: string): Promise<Ended> {
    const end = randomUUID();
    const quoted = `'${command.replaceAll("'", `'\\''`)}'`;
    // Its own input is the next commands.
    this.#child.stdin.write(`eval ${quoted} </dev/null 2>&1; printf '\\n%s %d\\n' ${end} $?\n`);
    return new Promise((resolve, reject) => {
      let printed = '';
      const hear = (text: string) => {
        printed += text;
        const ended = new RegExp(`\\n${end} (\\d+)\\n`).exec(printed);
        if (ended === null) return;
        done();
        resolve({ status: Number(ended[1]), printed: printed.slice(0, ended.index) });
      };
      const late = setTimeout(() => {
        done();
        reject(new Error(`it did not end within ${DEADLINE_MS / 1000} s: ${command}\n${printed}`));
      }, DEADLINE_MS);
      const done = () => {
        clearTimeout(late);
        this.#child.stdout.off('data', hear);
      };
      this.#child.stdout.on('data', hear);
    });
  }

  end(): void {
    process.kill(-this.#child.pid!, 'SIGKILL');
  }
}
