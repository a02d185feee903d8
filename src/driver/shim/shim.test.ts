/** pk-shim with ordinary programs in place of kernels. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { nativeProgram } from '../../../test/support/native.ts';
import { collectGarbage } from '../../sys/node.ts';
import { allowedCpus, processStartTime, run } from '../../sys/process.ts';
import type { HostThread, LaunchThreads } from './launch-threads.ts';
import { moveThreads } from './placement.ts';
import {
  askMonitor,
  askShim,
  awaitProgramExit,
  connectShim,
  killShim,
  launchShim,
  parseProgramExit,
  readConsoleTail,
  shimStatus,
} from './shim.ts';

let directory: string;
beforeAll(async () => {
  await nativeProgram('pk-shim');
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-shim-'));
});
afterEach(async () => {
  await killShim(directory);
  rmSync(directory, { recursive: true });
});

const sh = (script: string, options: { logBytes?: number; fds?: number[] } = {}) =>
  launchShim({ directory, argv: ['/bin/sh', '-c', script], ...options });
const shimPid = () => Number(readFileSync(join(directory, 'shim.pid'), 'latin1').split(' ')[0]);

/** Waits until the stream has said `text`; gives all it said. */
function heard(stream: Duplex, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      said += chunk;
      if (said.includes(text)) resolve(said);
    });
    stream.on('close', () => reject(new Error(`closed after ${JSON.stringify(said)}`)));
  });
}
async function until(condition: () => boolean, patienceMs = 5000): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('the condition did not come true');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function untilNow(condition: () => boolean, patienceMs = 5000): void {
  for (const deadline = Date.now() + patienceMs; !condition(); )
    if (Date.now() > deadline) throw new Error('the condition did not come true');
}

const cpusOf = (pid: number) => /^Cpus_allowed_list:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];

/** Ends a process, and starts another one under its number, in a later tick of the clock that tells them apart. */
function inPlaceOf(pid: number): ChildProcess {
  const began = Number(processStartTime(pid));
  untilNow(() => 100 * Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) > began + 1);
  process.kill(pid, 'SIGKILL');
  untilNow(() => !existsSync(`/proc/${pid}`));
  for (let tries = 0; tries < 200; tries++) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const child = spawn('sleep', ['1000']);
    if (child.pid === pid) return child;
    child.kill('SIGKILL');
  }
  throw new Error(`no process got the number ${pid}`);
}

describe('a shim that is kept in the kernel of the host', () => {
  it('keeps nobody from ending the jail', async () => {
    await sh('exec sleep 1000');
    // Of nobody that the end of the shim ends.
    const first = spawn('sleep', ['1000']);
    writeFileSync(join(directory, 'jail.pid'), `${first.pid} ${processStartTime(first.pid!)}\n`);
    // It does not answer.
    rmSync(join(directory, 'shim.sock'));
    const ended = once(first, 'exit');
    await killShim(directory).finally(() => first.kill('SIGTERM'));
    expect(await ended).toEqual([null, 'SIGKILL']);
  });
});

describe('threads of the program', () => {
  it.runIf(allowedCpus().length > 1)('keep nobody who moves them, however many more there are', async () => {
    const [from, to] = allowedCpus();
    await sh(
      `while :; do taskset -c ${from} sleep 1000 & touch made; until [ -e more ]; do :; done; rm made more; done`,
    );
    const made = () => existsSync(join(directory, 'made'));
    await until(made);
    // One more at each look, which calls itself a vCPU and is elsewhere.
    const find = (threads: readonly HostThread[]): LaunchThreads => {
      writeFileSync(join(directory, 'more'), '');
      untilNow(() => !existsSync(join(directory, 'more')) && made());
      return { vcpus: [threads.slice(2).map(({ tid }) => tid)], others: [], vmm: 0 };
    };
    const target = { vcpus: [[to!]], others: [from!], grouped: false };
    await expect(moveThreads(directory, 'nobody', find, target)).rejects.toMatchObject({ code: 'internal' });
  });

  it.runIf(allowedCpus().length > 1 && process.getuid?.() === 0)(
    'that have ended are moved no more, nor who has their numbers by then',
    async () => {
      const { pid: shell } = await sh('sleep 1000 & wait; exec sleep 1000');
      const children = () => readFileSync(`/proc/${shell}/task/${shell}/children`, 'latin1').trim();
      await until(() => children() !== '');
      const ended = Number(children());
      let stranger: ChildProcess | undefined;
      const find = (threads: readonly HostThread[]): LaunchThreads => {
        stranger ??= inPlaceOf(ended);
        return { vcpus: [[]], others: threads.map(({ tid }) => tid), vmm: 0 };
      };
      const [cpu] = allowedCpus();
      try {
        await moveThreads(directory, 'nobody', find, { vcpus: [[]], others: [cpu!], grouped: false });
        expect(stranger!.pid).toBe(ended);
        expect(cpusOf(shell)).toBe(String(cpu));
        expect(cpusOf(ended)).toBe(cpusOf(process.pid));
      } finally {
        stranger?.kill('SIGKILL');
      }
    },
  );
});

describe('end of the program', () => {
  it.each([
    ['exit 0', { code: 0, signal: null }],
    ['exit 42', { code: 42, signal: null }],
    ['kill -9 $$', { code: null, signal: 'SIGKILL' }],
    ['kill -6 $$', { code: null, signal: 'SIGABRT' }],
  ])('%s is reported', async (script, exit) => {
    await sh(script);
    expect(await awaitProgramExit(directory)).toEqual(exit);
    expect(await shimStatus(directory)).toEqual({ state: 'exited', ...exit });
    expect(existsSync(join(directory, 'shim.sock'))).toBe(false);
  });

  it('comes after the last words on console and control line', async () => {
    await sh('read line <&3; head -c 300000 /dev/zero | tr "\\0" x; echo; echo last; echo bye >&3');
    const control = await connectShim(directory, 'control');
    const bye = heard(control, 'bye');
    control.write('go\n');
    expect(await bye).toContain('bye');
    await awaitProgramExit(directory);
    expect(await readConsoleTail(directory, 6)).toBe('\nlast\n');
    expect(statSync(join(directory, 'console.log')).size).toBe(300_006);
  });

  it('comes after what a program that prints without end has printed last', async () => {
    await sh('trap "echo last; exit 4" TERM; yes & wait');
    await until(() => existsSync(join(directory, 'console.log.1')));
    const child = readFileSync(`/proc/${shimPid()}/task/${shimPid()}/children`, 'latin1').trim();
    process.kill(Number(child), 'SIGTERM');
    expect(await awaitProgramExit(directory)).toEqual({ code: 4, signal: null });
    expect(await readConsoleTail(directory, 2 ** 20)).toContain('\nlast\n');
  });

  it('takes along what the program started', async () => {
    await sh('sleep 1000 & echo $!; exit 3');
    expect(await awaitProgramExit(directory)).toEqual({ code: 3, signal: null });
    const child = Number(await readConsoleTail(directory, 100));
    await until(() => processStartTime(child) === undefined);
  });
});

describe('a program that prints without end', () => {
  /** Bytes that the shim has written. */
  const written = () => Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${shimPid()}/io`, 'latin1'))?.[1]);
  const TAKEN_AT_ONCE = 4 * 2 ** 20;

  it('has its console taken at a pace, for no kernel is charged with what that costs', async () => {
    const begun = performance.now();
    await sh('exec cat /dev/zero');
    await until(() => written() > 1.5 * TAKEN_AT_ONCE, 30_000);
    // What is above comes in half a second at the earliest, however fast this machine is.
    expect(performance.now() - begun).toBeGreaterThan(450);
    expect(await shimStatus(directory)).toMatchObject({ state: 'running' });
  });
});

describe('a lock that it holds', () => {
  const lockPath = () => join(directory, 'lock');
  const isLocked = async () => (await run(['flock', '--nonblock', lockPath(), 'true'])).code === 1;
  /** Locked here, and given away. */
  const launchHolding = async (script: string, fds: number[] = []) => {
    const held = openSync(lockPath(), 'w');
    try {
      await run(['flock', '--shared', '3'], { fds: [held] });
      await launchShim({ directory, argv: ['/bin/sh', '-c', script], fds, held, memoryBytes: 4096 });
    } finally {
      closeSync(held);
    }
  };

  it('lasts as long as its program, which has other descriptors', async () => {
    const passed = openSync('/dev/null', 'r');
    await launchHolding('ls -l /proc/self/fd; echo .; read line', [passed]).finally(() => closeSync(passed));
    expect(await isLocked()).toBe(true);
    await until(() => readFileSync(join(directory, 'console.log'), 'latin1').includes('\n.'));
    const shown = readFileSync(join(directory, 'console.log'), 'latin1');
    expect(shown).toContain(' 5 -> /dev/null');
    expect(shown).toContain(' 6 -> /memfd:');
    expect(shown).not.toContain(lockPath());
    const shim = shimPid();
    await killShim(directory);
    // It writes how its program ended, and then ends.
    await until(() => processStartTime(shim) === undefined);
    expect(await isLocked()).toBe(false);
  });

  it('ends with it when it is killed', async () => {
    await launchHolding('exec sleep 1000');
    const shim = shimPid();
    process.kill(shim, 'SIGKILL');
    await awaitProgramExit(directory);
    await until(() => processStartTime(shim) === undefined);
    expect(await isLocked()).toBe(false);
  });

  it('is none after a start that failed', async () => {
    const held = openSync(lockPath(), 'w');
    await run(['flock', '--shared', '3'], { fds: [held] });
    await expect(launchShim({ directory, argv: ['/no/such/program'], held })).rejects.toThrow(/No such file/);
    closeSync(held);
    expect(await isLocked()).toBe(false);
  });
});

describe('start', () => {
  it('keeps nothing of what the program was started with', async () => {
    const start = async () => {
      const launch = { directory, argv: ['/bin/sleep', '1000'] };
      await launchShim(launch);
      return new WeakRef(launch);
    };
    const launch = await start();
    await turn();
    collectGarbage('last-resort');
    expect(launch.deref()).toBeUndefined();
  });
  it('refuses a program that does not exist and leaves nothing', async () => {
    await expect(launchShim({ directory, argv: ['/no/such/program'] })).rejects.toThrow(
      /no\/such\/program.*No such file/,
    );
    expect(await shimStatus(directory)).toBeUndefined();
  });

  it('refuses a directory that another shim holds', async () => {
    await sh('exec sleep 1000');
    await expect(sh('true')).rejects.toThrow(/another pk-shim/);
    expect(await shimStatus(directory)).toMatchObject({ state: 'running' });
  });

  it('leaves nothing when aborted', async () => {
    const controller = new AbortController();
    const launching = launchShim({ directory, argv: ['/bin/sleep', '1000'], signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(launching).rejects.toThrow('enough');
    expect((await shimStatus(directory))?.state).not.toBe('running');
  });

  it('gives the program its descriptors and no others', async () => {
    const file = join(directory, 'passed');
    writeFileSync(file, 'through five\n');
    const fd = openSync(file, 'r');
    await sh('cat <&5; echo; ls /proc/self/fd | tr "\\n" " "', { fds: [fd] });
    closeSync(fd);
    await awaitProgramExit(directory);
    // ls itself opens one more.
    expect(await readConsoleTail(directory, 1000)).toMatch(/^through five\n\n0 1 2 3 4 5 6 $/);
  });

  it('works where the path is too long for a socket', async () => {
    const deep = join(directory, 'x'.repeat(120));
    mkdirSync(deep, { mode: 0o700 });
    await launchShim({ directory: deep, argv: ['/bin/sleep', '1000'] });
    expect(await shimStatus(deep)).toMatchObject({ state: 'running' });
    await killShim(deep);
    expect(await shimStatus(deep)).toMatchObject({ state: 'exited', signal: 'SIGKILL' });
  });
});

describe('a program that has sockets', () => {
  const start = async (what: string) => {
    const program = join(directory, 'descriptors');
    const source = join(import.meta.dirname, '../../../test/fixtures/descriptors.c');
    expect(await run(['musl-gcc', '-static', '-o', program, source])).toMatchObject({ code: 0, stderr: '' });
    await launchShim({ directory, argv: [program, what] });
  };
  const said = () => readConsoleTail(directory, 4096);

  it('sends no descriptors along, or the shim would free what they are of (Linux 6.16)', async () => {
    await start('lines');
    await untilSaid('known');
    const result = (await said()).includes('unknown') ? 'sent' : 'EPERM';
    for (const number of [1, 3, 4]) expect(await said()).toContain(`${number} ${result}\n`);
  });

  it('sends none to who reads the connection that it is given', async () => {
    await start('connection');
    // Nothing is read of it.
    const socket = connect(join(directory, 'shim.sock')).pause();
    socket.write('pass-connection\n');
    await untilSaid('nobody has it');
    socket.destroy();
  });

  it('is given a connection, which ends with either side', async () => {
    await start('streams');
    const first = await connectShim(directory, 'pass-connection');
    let bytes = 0;
    for await (const chunk of first) bytes += (chunk as Buffer).length;
    expect(bytes).toBe('ok\n'.length + 1_000_000);
    const second = await connectShim(directory, 'pass-connection');
    await once(second, 'data');
    second.destroy();
    await untilSaid('ended');
  });

  async function untilSaid(text: string): Promise<void> {
    for (const deadline = Date.now() + 5000; !(await said()).includes(text); await turn())
      if (Date.now() > deadline) throw new Error(`${text}: only ${await said()}`);
  }
});

describe('control line', () => {
  it('passes bytes both ways, one holder after another', async () => {
    await sh('exec cat <&3 >&3');
    for (const round of ['first', 'second']) {
      const control = await connectShim(directory, 'control');
      control.write(`${round}\n`);
      expect(await heard(control, '\n')).toBe(`${round}\n`);
      control.destroy();
    }
  });

  it('gives it to the newest holder', async () => {
    await sh('exec cat <&3 >&3');
    const old = await connectShim(directory, 'control');
    old.write('a');
    await heard(old, 'a').catch(() => {});
    const gone = once(old, 'close');
    const fresh = await connectShim(directory, 'control');
    fresh.write('b');
    expect(await heard(fresh, 'b')).toBe('b');
    await gone;
    fresh.destroy();
  });

  it('keeps what the program says while nobody listens', async () => {
    await sh('echo kept >&3; echo said; exec sleep 1000');
    await until(() => statSync(join(directory, 'console.log')).size > 0);
    const control = await connectShim(directory, 'control');
    expect(await heard(control, '\n')).toBe('kept\n');
    control.destroy();
  });

  it('moves a megabyte unharmed', async () => {
    await sh('exec cat <&3 >&3');
    const control = await connectShim(directory, 'control');
    const data = Buffer.alloc(1 << 20, 'polykernel-');
    const chunks: Buffer[] = [];
    let size = 0;
    const done = new Promise<void>((resolve) => {
      control.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size >= data.length) resolve();
      });
    });
    control.write(data);
    await done;
    expect(Buffer.concat(chunks).equals(data)).toBe(true);
    control.destroy();
  });

  it('has the monitor beside it', async () => {
    await sh('exec cat <&4 >&4');
    const monitor = await connectShim(directory, 'monitor');
    monitor.write('qmp\n');
    expect(await heard(monitor, '\n')).toBe('qmp\n');
    monitor.destroy();
  });

  it('takes no late answer for that of another question', async () => {
    const isRead = join(directory, 'is-read');
    await sh(
      `read one <&4; : > ${isRead}; echo first >&4; read two <&4; echo second >&4; echo third >&4; exec sleep 1000`,
    );
    const early = await connectShim(directory, 'monitor');
    early.write('one\n');
    // What a client has said that goes at once may be lost with it.
    await until(() => existsSync(isRead));
    early.destroy();
    expect(await askMonitor(directory, 'two', (line) => /^(first|second)$/.test(line))).toBe('third');
  });
});

describe('console', () => {
  it('passes output from now on, and input', async () => {
    await sh('read name; echo hello $name; exec sleep 1000');
    const console = await connectShim(directory, 'console');
    console.write('you\n');
    expect(await heard(console, 'you\n')).toBe('hello you\n');
    console.destroy();
  });

  it('rotates its log', async () => {
    await sh('i=0; while [ $i -lt 40 ]; do printf "%099d\\n" $i; i=$((i+1)); done', { logBytes: 1000 });
    await awaitProgramExit(directory);
    const [older, newer] = ['console.log.1', 'console.log'].map((name) => readFileSync(join(directory, name), 'utf8'));
    expect([older!.length, newer!.length]).toEqual([1000, 1000]);
    expect(newer).toMatch(/39\n$/);
    expect(await readConsoleTail(directory, 1500)).toMatch(/^0+25\n(0+\d+\n){13}0+39\n$/);
    expect(await readConsoleTail(directory, 250)).toMatch(/38\n0+39\n$/);
  });

  it('never blocks the program for a reader that does not read', async () => {
    await sh('read go; head -c 3000000 /dev/zero; exit 5');
    const lazy = await connectShim(directory, 'console');
    lazy.pause();
    lazy.write('go\n');
    expect(await awaitProgramExit(directory)).toEqual({ code: 5, signal: null });
    lazy.destroy();
  });
});

describe('kill', () => {
  it('ends a program that ignores signals', async () => {
    await sh('trap "" TERM INT HUP; echo up; while :; do sleep 1000; done');
    await killShim(directory);
    expect(await shimStatus(directory)).toEqual({ state: 'exited', code: null, signal: 'SIGKILL' });
    await killShim(directory);
  });

  it('of the shim kills the program', async () => {
    const { pid } = await sh('exec sleep 1000');
    process.kill(shimPid(), 'SIGKILL');
    await until(() => processStartTime(pid) === undefined);
    expect(await awaitProgramExit(directory)).toBeUndefined();
    expect(await shimStatus(directory)).toEqual({ state: 'lost' });
  });

  it('comes by itself where the directory was removed, and not where a file of it was, or it was moved', async () => {
    const moved = `${directory}-moved`;
    const { pid } = await sh('exec sleep 1000');
    const shim = shimPid();
    rmSync(join(directory, 'shim.pid'));
    renameSync(directory, moved);
    mkdirSync(directory);
    const looks = () =>
      Number(/^voluntary_ctxt_switches:\t(\d+)/m.exec(readFileSync(`/proc/${shim}/status`, 'latin1'))?.[1]);
    const before = looks();
    await until(() => looks() > before, 15_000);
    expect(processStartTime(pid)).toBeDefined();
    rmSync(moved, { recursive: true });
    await until(() => processStartTime(pid) === undefined && processStartTime(shim) === undefined, 15_000);
  }, 40_000);

  it('survives all signals that ask', async () => {
    await sh('exec cat <&3 >&3');
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE'] as const) process.kill(shimPid(), signal);
    expect(await shimStatus(directory)).toMatchObject({ state: 'running' });
  });
});

describe('requests', () => {
  it('are refused when unknown or endless', async () => {
    await sh('exec sleep 1000');
    expect(await askShim(directory, 'dance')).toBe('error unknown request\n');
    expect(await askShim(directory, 'x'.repeat(5000))).toBe('');
    expect(await askShim(directory, 'mconsole')).toBe('error unknown request\n');
  });

  it('make room when many clients say nothing', async () => {
    await sh('exec sleep 1000');
    const silent = Array.from({ length: 40 }, () => connect(join(directory, 'shim.sock')));
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    expect(await shimStatus(directory)).toMatchObject({ state: 'running' });
    for (const socket of silent) socket.destroy();
  });
});

it.each([
  ['code 0\n', { code: 0, signal: null }],
  ['signal 6\n', { code: null, signal: 'SIGABRT' }],
  ['', undefined],
  ['code\n', undefined],
  ['code 9999\n', undefined],
])('reads the exit file %j', (text, exit) => {
  expect(parseProgramExit(text)).toEqual(exit);
});
