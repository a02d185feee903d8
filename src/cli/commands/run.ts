import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { connect } from '../../client/index.ts';
import { asPolykernelError } from '../../sys/errors.ts';
import type { Command, Invocation } from '../command.ts';
import { Progress, print } from '../output.ts';
import { runRequest } from '../run-request.ts';
import { join, terminalSize } from '../terminal.ts';

export const command: Command = {
  summary: 'run a command in a kernel of its own',
  usage: '[OPTION]... [--] COMMAND [ARGUMENT]...',
  description:
    "Without --rootfs the guest sees this machine's files, read-only, with a scratch layer on top that ends with the\n" +
    "kernel. Ends with the command's exit code; 128+N for signal N; 122 when the kernel panicked, 123 when it died, 124\n" +
    'when it was not ready in time, 125 when Polykernel failed, 126 and 127 when the command cannot run or is not found.',
  options: {
    detach: { short: 'd', help: 'leave it running and print its name' },
    name: { value: 'NAME', help: 'name of the instance (default: a generated one)' },
    driver: { value: 'DRIVER', choices: ['auto', 'uml', 'qemu', 'fake'], help: 'how the kernel is run (default auto)' },
    cpus: { value: 'N', help: 'CPUs of the kernel (default 1)' },
    memory: { short: 'm', value: 'SIZE', help: 'memory of the kernel, such as 512M' },
    image: { value: 'NAME', complete: 'image', help: "kernel image (default: the driver's)" },
    rootfs: { value: 'PATH', complete: 'file', help: 'root: a directory, tar, squashfs or ext4 file' },
    volume: { short: 'v', value: 'SRC:DST[:ro]', multiple: true, complete: 'file', help: 'share a directory or file' },
    env: { short: 'e', value: 'KEY[=VALUE]', multiple: true, help: 'set a variable, or pass one on' },
    'env-file': { value: 'FILE', multiple: true, complete: 'file', help: 'read variables from a file' },
    workdir: { short: 'w', value: 'DIR', help: 'working directory in the guest' },
    hostname: { value: 'NAME', help: 'host name in the guest (default: the name)' },
    user: { short: 'u', value: 'UID[:GID]', help: 'user in the guest (default 0)' },
    restart: { value: 'no|on-failure[:N]|always', help: 'what to do when it ends (with --detach)' },
    cold: { help: 'boot even where a template clone is possible' },
    tty: { short: 't', help: 'give it a terminal (default: when this is one)' },
    'no-tty': { short: 'T', help: 'give it no terminal' },
    'no-stdin': { short: 'n', help: 'do not pass standard input' },
    'ready-timeout': { value: 'TIME', help: 'how long the kernel may take to be ready (default 60s)' },
    'stop-grace': { value: 'TIME', help: 'how long `pk stop` waits before it kills (default 10s)' },
    quiet: { short: 'q', help: 'no progress' },
  },
  arguments: [1, Number.POSITIVE_INFINITY],
  commandFrom: 0,
  examples: [
    ['pk run -- uname -a', "this machine's files under another kernel"],
    ['echo hi | pk run -- cat', 'input, output, exit code and signals pass'],
    ["pk run --driver qemu --cpus 2 --memory 512M -- sh -c 'nproc; free -m'", 'a virtual machine with two CPUs'],
    ['pk run -d --name web --restart on-failure -- node server.js', 'a service; see `pk logs -f web`'],
    ['pk run --rootfs ./alpine.tar -v ./data:/data -- /bin/sh', 'other files, and a shared directory'],
  ],
  async run(invocation) {
    const request = runRequest(invocation, {
      cwd: process.cwd(),
      env: process.env,
      terminal: process.stdin.isTTY === true && process.stdout.isTTY === true,
      ...terminalSize(),
      envFiles: await Promise.all(invocation.values('env-file').map(readText)),
    });
    const progress = new Progress(invocation.flag('quiet') ? false : undefined);
    return request.attached ? foreground(invocation, request, progress) : detached(request, progress);
  },
};

type Request = ReturnType<typeof runRequest>;

async function foreground(invocation: Invocation, request: Request, progress: Progress): Promise<number> {
  progress.say('starting');
  const abort = interruptible();
  try {
    const client = await connect({ signal: abort.signal });
    const { spec } = await client.create(request, abort.signal);
    const remote = await client.attach(spec.name, { signal: abort.signal, phase: (text) => progress.say(text) });
    await remote.started.catch(() => {});
    abort.release();
    progress.clear();
    const exit = await join(remote, { tty: request.tty === true, stdin: !invocation.flag('no-stdin') });
    if (exit.reason !== 'exit' && exit.reason !== 'signal') process.stderr.write(`pk: ${exit.message}\n`);
    else if (exit.exitCode === 126 || exit.exitCode === 127) explain(exit.message);
    return exit.exitCode;
  } catch (error) {
    progress.clear();
    if (abort.signal.aborted) return 128 + abort.number();
    throw error;
  } finally {
    progress.clear();
    abort.release();
  }
}

/** A command that could not be started says why; one that ended with 127 by itself has already spoken. */
function explain(message: string): void {
  if (message !== '' && !/^exit/.test(message)) process.stderr.write(`pk: ${message}\n`);
}

/** Until released, a signal that would end this process ends the start instead, so that the daemon cleans up. */
function interruptible() {
  const controller = new AbortController();
  let number = 0;
  const names = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const handler = (name: NodeJS.Signals) => {
    number = constants.signals[name];
    controller.abort(new Error('interrupted'));
  };
  for (const name of names) process.on(name, handler);
  return {
    signal: controller.signal,
    number: () => number,
    release: () => {
      for (const name of names) process.off(name, handler);
    },
  };
}

/** Returns once the workload runs, so that a kernel that cannot start is reported here and now. */
async function detached(request: Request, progress: Progress): Promise<number> {
  progress.say('starting');
  const abort = interruptible();
  const client = await connect({ signal: abort.signal });
  const { spec } = await client.create({ ...request, start: false });
  try {
    await client.start(spec.name, abort.signal);
  } catch (error) {
    progress.clear();
    await client.remove(spec.name, { force: true }).catch(() => {});
    if (abort.signal.aborted) return 128 + abort.number();
    throw error;
  } finally {
    progress.clear();
    abort.release();
  }
  await print(`${spec.name}\n`);
  return 0;
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error) => {
    throw asPolykernelError(error, `--env-file: reading ${path}`);
  });
}
