/** A User Mode Linux kernel started by hand, without a driver: for tests of the guest side alone. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { compileArguments } from '../../scripts/setup/recipe.ts';
import { type BootModule, buildInitramfs, guestEntries } from '../../src/guest/index.ts';
import { nativePath } from '../../src/sys/paths.ts';

export interface RawUml {
  control: Duplex;
  console: () => string;
  /** Resolves with the exit code, null when killed. */
  exited: Promise<number | null>;
  kill: () => Promise<void>;
}

export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'pk-guest-'));
}

/** Compiles pk-init into `directory` and returns its bytes. */
export function compileInit(directory: string): Buffer {
  const out = join(directory, 'pk-init');
  execFileSync('musl-gcc', ['-Werror', ...compileArguments('pk-init', out)]);
  return readFileSync(out);
}

export function umlModule(name: string): BootModule {
  const [release] = execFileSync('ls', ['/usr/lib/uml/modules'], { encoding: 'utf8' }).trim().split('\n');
  return { name: name.split('/').at(-1)!, content: readFileSync(`/usr/lib/uml/modules/${release}/kernel/${name}`) };
}

/** Boots `init` in `directory`, pinned to the first CPU; nothing but pk-init is in its initramfs besides `modules`. */
export function bootUml(directory: string, init: Uint8Array, modules: BootModule[] = []): RawUml {
  const image = join(directory, 'initramfs');
  writeFileSync(image, buildInitramfs(guestEntries({ init, tools: {} }, [], modules)));
  const child: ChildProcess = spawn(
    'taskset',
    [
      ...[
        '-c',
        '0',
        'setarch',
        '-R',
        'linux.uml',
        'mem=96M',
        `initrd=${image}`,
        'pk.control=ttyS0',
        `uml_dir=${directory}`,
      ],
      ...[
        'umid=u',
        'con=null',
        'con0=null,fd:1',
        'ssl=null',
        'ssl0=fd:3,fd:3',
        'quiet',
        'loglevel=1',
        'pty.legacy_count=0',
      ],
      'initcall_blacklist=raid6_select_algo,calibrate_xor_blocks,init_zswap,init_btrfs_fs',
      'cryptomgr.notests=1',
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, LD_PRELOAD: nativePath('pk-xstate.so') },
    },
  );
  let text = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString('latin1')).slice(-20_000);
    });
  }
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  const strike = () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL');
  };
  process.once('exit', strike); // a test run that is cut short leaves no kernel behind
  const kill = async () => {
    strike();
    await exited;
  };
  return { control: child.stdio[3] as Duplex, console: () => text, exited, kill };
}

export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}
