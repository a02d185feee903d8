/** In the foreground this process is the terminal of the workload; detached it ends once the command was executed. */
import { type Client, connect } from '../../client/index.ts';
import { driverWords } from '../../driver/registry.ts';
import type { InstanceSpec } from '../../instance/spec.ts';
import { PUBLISH_FORM, portsText } from '../../network/published-port.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Command, Invocation } from '../kit/command.ts';
import { complain, Progress, print } from '../kit/output.ts';
import { type Interruptible, interruptible } from '../kit/signals.ts';
import { join, terminalSize } from '../kit/terminal.ts';
import { ENV_OPTIONS, explainEnd, isDeaf, readEnvFiles } from './guest-command.ts';
import { callerDirectory } from './here.ts';
import { asOneOutput, isOneOutput } from './one-output.ts';
import { fieldOptions, runRequest } from './run-request.ts';

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
    rm: { help: 'remove it once it has ended: with --detach too, in the foreground it is so anyway' },
    driver: { value: 'DRIVER', choices: driverWords, help: 'how the kernel is run (default auto)' },
    cpus: { value: 'N|LIST', help: 'CPUs of the kernel (default 1); a list, such as 4-7, owns these of the pool' },
    dedicated: { help: 'own these CPUs and this memory, taken from the pool (see `pk pool`)' },
    share: { value: 'FRACTION', help: 'own a part of the shared CPUs instead, such as 0.5' },
    memory: { short: 'm', value: 'SIZE', help: 'memory of the kernel, such as 512M' },
    'elastic-cpus': {
      value: 'MIN-MAX',
      help: 'how many CPUs it may have later, while it runs, such as 1-4; with --share 0.1-0.9',
    },
    'elastic-memory': { value: 'MIN-MAX', help: 'and how much memory, such as 256M-2G' },
    rootfs: { value: 'PATH', complete: 'file', help: 'root: a directory, tar, squashfs or ext4 file' },
    volume: {
      short: 'v',
      value: 'SRC:DST[:ro|suid]',
      multiple: true,
      complete: 'file',
      help: 'share a directory or file',
    },
    channel: {
      value: 'NAME:send|recv',
      multiple: true,
      complete: 'channel-side',
      help: 'have this side of a channel (see `pk channel`)',
    },
    publish: {
      short: 'p',
      value: PUBLISH_FORM,
      multiple: true,
      help: 'lead a port of this machine to it; HOST 0 or none: one that is free',
    },
    ...ENV_OPTIONS,
    workdir: { short: 'w', value: 'DIR', help: 'working directory in the guest' },
    user: { short: 'u', value: 'USER[:GROUP]', help: 'user in the guest, a number or a name of its own (default 0)' },
    ...fieldOptions,
    tty: { short: 't', help: 'give it a terminal (default: when this is one)' },
    'no-tty': { short: 'T', help: 'give it no terminal' },
    interactive: { short: 'i', help: 'as always; accepted for habit' },
    'no-stdin': { short: 'n', help: 'do not pass standard input' },
    'dry-run': { help: 'show what would be run, where and why, and run nothing' },
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
      cwd: callerDirectory(),
      env: process.env,
      terminal: process.stdin.isTTY === true && process.stdout.isTTY === true,
      oneOutput: isOneOutput(),
      ...terminalSize(),
      envFiles: await readEnvFiles(invocation),
    });
    const isQuiet = invocation.flag('quiet');
    const isGone = request.root === 'host' && callerDirectory() === undefined;
    if (isGone && invocation.value('workdir') === undefined && !isQuiet)
      complain('it works in /: the working directory is gone');
    if (invocation.flag('dry-run')) {
      const { trialText } = await import('./trial-text.ts');
      await print(trialText(await (await connect()).tryOut(request), request.name));
      return 0;
    }
    const progress = new Progress(isQuiet ? false : undefined);
    return request.attached ? foreground(invocation, request, progress) : detached(request, progress, isQuiet);
  },
};

type Request = ReturnType<typeof runRequest>;

/** Who knows docker names an image first. */
const NO_IMAGES =
  'A program of this machine is run, and not an image: other files come with --rootfs PATH (docs/docker.md).';

/** Whether what was not found may have been meant for an image: none is called by a path, and what is there is none. */
const isImage = ({ root, command }: Request, message: string): boolean =>
  root === 'host' && !/^[./]/.test(command[0]!) && message.includes(': no such file or directory');

/** The error, for a program that is not found with a word on images. */
function withoutImages(error: unknown, request: Request): unknown {
  if (!(error instanceof PolykernelError) || error.code !== 'no-command' || !isImage(request, error.message))
    return error;
  return PolykernelError.fromJSON({ ...error.toJSON(), hint: `${error.hint ?? ''} ${NO_IMAGES}`.trimStart() });
}

/** The caller's own directory is only a wish. */
function tellElsewhere(wished: string | undefined): void {
  complain(
    `it works in / and not in ${wished}, which its kernel may not enter: share it with --volume, or use --workdir`,
  );
}

/** Those that were chosen: nobody can know them. */
function tellPorts(request: Request, { publish }: InstanceSpec, isQuiet: boolean, progress: Progress): void {
  const chosen = publish.filter((_, index) => request.publish?.[index]?.hostPort === 0);
  if (isQuiet || chosen.length === 0) return;
  progress.clear();
  complain(`published: ${portsText(chosen)}`);
}

async function foreground(invocation: Invocation, request: Request, progress: Progress): Promise<number> {
  const began = await starting(progress, async (client, { signal }) => {
    const { merged = false, ...rest } = request;
    const { spec } = await asOneOutput(merged, (wish) => client.create({ ...rest, ...wish }, signal));
    tellPorts(request, spec, invocation.flag('quiet'), progress);
    const remote = await client.attach(spec.name, {
      ...{ signal, phase: (text: string) => progress.say(text) },
      ...{ waits: complain, revive: () => connect() },
    });
    // Why it never ran is for `exited` to tell, unless that is us.
    const started = await remote.started.catch((error) => {
      if (signal.aborted) throw error;
    });
    if (started?.isElsewhere && !invocation.flag('quiet')) {
      progress.clear();
      tellElsewhere(request.cwd);
    }
    return { remote, isDeaf: (isNew: boolean) => isDeaf(client, spec.name, isNew) };
  });
  if (typeof began === 'number') return began;
  const exit = await join(began.remote, {
    ...{ tty: request.tty === true, stdin: !invocation.flag('no-stdin') },
    isDeaf: began.isDeaf,
  });
  explainEnd(exit);
  if (exit.reason === 'failed' && exit.exitCode === 127 && isImage(request, exit.message))
    process.stderr.write(`    ${NO_IMAGES}\n`);
  return exit.exitCode;
}

/** Does `work` while the progress line shows; gives the exit code instead when a signal came first. */
async function starting<T>(
  progress: Progress,
  work: (client: Client, interrupt: Interruptible) => Promise<T>,
): Promise<T | number> {
  progress.say('starting');
  const interrupt = interruptible();
  try {
    // A daemon that is there and does not answer must not hold anybody.
    const client = await interrupt.unlessInterrupted(connect({ signal: interrupt.signal }));
    return await work(client, interrupt);
  } catch (error) {
    if (interrupt.signal.aborted) return interrupt.code();
    throw error;
  } finally {
    progress.clear();
    interrupt.release();
  }
}

/**
 * Returns once the workload was executed, so that one that cannot be, or a kernel that cannot start, is reported here and now. What
 * failed is kept, to be looked at; a kernel that did not get ready has said all there is to say.
 */
async function detached(request: Request, progress: Progress, isQuiet: boolean): Promise<number> {
  const status = await starting(progress, async (client, { signal }) => {
    const { spec } = await client.create({ ...request, start: false });
    try {
      return await client.start(spec.name, signal);
    } catch (error) {
      const now = signal.aborted ? undefined : await client.inspect(spec.name).catch(() => undefined);
      if (now?.state === 'exited' && now.exit?.reason === 'failed') throw withoutImages(error, request);
      progress.say('taking it back');
      await client.remove(spec.name, { force: true }).catch(() => {});
      throw error;
    }
  });
  if (typeof status === 'number') return status;
  const { spec, workingDirectory } = status;
  tellPorts(request, spec, isQuiet, progress);
  if (spec.cwdOptional && workingDirectory !== null && workingDirectory !== spec.cwd && !isQuiet)
    tellElsewhere(spec.cwd);
  await print(`${spec.name}
`);
  return 0;
}
