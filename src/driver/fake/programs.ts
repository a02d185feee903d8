/** The programs of the fake guest: each runs against a process handle and says how it ended. */
import { existsSync } from 'node:fs';

/** What a program of the fake guest may do. */
export interface FakeProcess {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly hostname: string;
  /** Resolves once the guest may send it (credit). */
  write(stream: 'stdout' | 'stderr', data: Uint8Array | string): Promise<void>;
  /** The next piece of standard input, or undefined at its end. */
  read(): Promise<Buffer | undefined>;
  /** Rejects when the process is ended by a signal. `Infinity` for ever. */
  sleep(milliseconds: number): Promise<void>;
  /** Sends itself a signal. */
  kill(signal: number): void;
  /** Signals this process does not die of. */
  ignored: Set<number>;
  panic(): void;
  /** Writes on the kernel's console. */
  console(text: string): void;
  /** The kernel's process goes away. */
  die(): void;
}

type Program = (process: FakeProcess) => Promise<number>;

export const ENOENT = 2;
export const EACCES = 13;

/** The program by its argv[0], or the errno that starting it gives. */
export function findProgram(name: string): Program | number {
  const base = name.slice(name.lastIndexOf('/') + 1);
  if (base === 'not-executable') return EACCES;
  return Object.hasOwn(PROGRAMS, base) ? PROGRAMS[base]! : ENOENT;
}

const PROGRAMS: Record<string, Program> = {
  true: async () => 0,
  false: async () => 1,
  async echo(process) {
    await process.write('stdout', `${process.argv.slice(1).join(' ')}\n`);
    return 0;
  },
  /** Of one argument, as it is. */
  async printf(process) {
    await process.write('stdout', process.argv[1] ?? '');
    return 0;
  },
  async cat(process) {
    for (let data = await process.read(); data !== undefined; data = await process.read())
      await process.write('stdout', data);
    return 0;
  },
  async sleep(process) {
    await process.sleep(Number(process.argv[1] ?? 'Infinity') * 1000);
    return 0;
  },
  async yes(process) {
    const block = Buffer.from(`${process.argv[1] ?? 'y'}\n`.repeat(512));
    for (;;) await process.write('stdout', block);
  },
  async env(process) {
    for (const [name, value] of Object.entries(process.env)) await process.write('stdout', `${name}=${value}\n`);
    return 0;
  },
  async hostname(process) {
    await process.write('stdout', `${process.hostname}\n`);
    return 0;
  },
  async crash(process) {
    process.panic();
    return process.sleep(Infinity).then(() => 0);
  },
  async die(process) {
    process.die();
    return process.sleep(Infinity).then(() => 0);
  },
  /** Goes on after SIGTERM, as a stubborn server does. */
  async stubborn(process) {
    process.ignored.add(15);
    await process.write('stdout', 'ready\n');
    return process.sleep(Infinity).then(() => 0);
  },
  /** Waits until a file of the host is gone. */
  async gone(process) {
    while (existsSync(process.argv[1]!)) await process.sleep(5);
    return 0;
  },
  'pk-trial': trial,
  sh: shell,
};

/** As native/trial: a probe whose requests take no time, and faults of which panic alone does any harm. */
async function trial(process: FakeProcess): Promise<number> {
  const [, kind, what] = process.argv;
  await process.write('stdout', 'begin\n');
  if (kind === 'fault') await process.read();
  if (what === 'panic') process.panic();
  const began = performance.now();
  for (let index = 0; ; index++) {
    const milliseconds = performance.now() - began;
    if (kind === 'fault') await process.write('stdout', `w ${Math.floor(milliseconds)} ${index * 1000}\n`);
    else await process.write('stdout', `r ${index} 100\nc ${Date.now()}\n`);
    await process.sleep(Math.max(0, (index + 1) * 10 - milliseconds));
  }
}

/** As much of a shell as tests want: `a; b && c`, echo with `>&2` or `> /dev/console`, exit, kill of itself, the magic SysRq. */
async function shell(process: FakeProcess): Promise<number> {
  if (process.argv[1] !== '-c') return PROGRAMS.cat!(process);
  let status = 0;
  for (const part of (process.argv[2] ?? '').split(/;|&&/)) {
    const words = part.trim().split(/\s+/).filter(Boolean);
    const [name, first] = words;
    if (name === undefined) continue;
    if (name === 'exit') return Number(first ?? status) & 0xff;
    if (part.includes('/proc/sysrq-trigger')) process.panic();
    else if (name === 'kill') process.kill(Number((words.length > 2 ? first! : '-15').slice(1)));
    else if (name === 'echo' && words.at(-1) === '>&2')
      await process.write('stderr', `${words.slice(1, -1).join(' ')}\n`);
    else if (name === 'echo' && words.at(-1) === '/dev/console') process.console(`${words.slice(1, -2).join(' ')}\n`);
    else {
      const program = findProgram(name);
      if (typeof program === 'number') {
        await process.write('stderr', `sh: ${name}: not found\n`);
        status = 127;
      } else status = await program({ ...process, argv: words });
    }
    // A signal or a panic ends it here.
    await process.sleep(0);
  }
  return status;
}
