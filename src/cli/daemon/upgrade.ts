/** `pk daemon upgrade`: the daemon of a checkout takes over from the one that runs; its own code does it, which knows what it needs. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, realpathSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../../client/index.ts';
import type { Succession } from '../../client/succeed.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { home as defaultHome, layout } from '../../sys/paths.ts';
import { openRegular, readerOf } from '../../sys/read-at.ts';
import type { Invocation } from '../kit/command.ts';
import { answer } from '../kit/output.ts';

const ROOT = realpathSync(fileURLToPath(new URL('../../..', import.meta.url)));
/** Ours has three thousand. */
const PACKAGE_BYTES = 2 ** 20;

export async function upgrade(invocation: Invocation): Promise<number> {
  const from = resolve(invocation.value('from') ?? ROOT);
  checkCheckout(from);
  return realpathSync(from) === ROOT ? succeedHere(invocation) : handOn(from, invocation);
}

/** By the other checkout's `pk`, to which its own version is the new one; it refuses by itself when it is not set up. */
function handOn(from: string, invocation: Invocation): Promise<number> {
  const home = invocation.value('home');
  const args = ['daemon', 'upgrade', ...(home === undefined ? [] : ['--home', resolve(home)])];
  const child = spawn(join(from, 'bin/pk'), invocation.flag('json') ? [...args, '--json'] : args, {
    // It would ask whether to set up.
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((done, reject) => {
    child.on('error', (cause) =>
      reject(new PolykernelError('invalid', `${from}/bin/pk cannot be run: ${cause.message}`, at(from))),
    );
    child.on('exit', (code) => done(code ?? 125));
  });
}

async function succeedHere(invocation: Invocation): Promise<number> {
  const paths = layout(resolve(invocation.value('home') ?? defaultHome()));
  const client = await connect({ home: paths.home, start: false });
  const say = (text: string) => void process.stderr.write(`${text}\n`);
  const { managed } = await import('./unit.ts');
  const { daemonProcessHere } = await import('../../client/daemon-process.ts');
  const unit = managed(daemonProcessHere((await client.version()).pid, paths).pid);
  if (unit !== undefined) {
    await (await import('./manage.ts')).restartAnew(unit, paths, say);
    say('the service manager runs this version now');
    return 0;
  }
  const { succeed } = await import('../../client/succeed.ts');
  const done = await succeed(client, paths, say);
  return answer(invocation, done, text);
}

const text = ({ from, to, awayMs }: Succession): string =>
  `${to.version} (pid ${to.pid}) has taken over from ${from.version} (pid ${from.pid}); the API was away for ${awayMs} ms\n`;

const at = (value: string) => ({ field: '--from', value });

/** Throws `invalid` for what is no checkout, `unsupported` for one whose daemon cannot take over while another serves. */
export function checkCheckout(from: string): void {
  let name: unknown;
  try {
    ({ name } = JSON.parse(textOf(join(from, 'package.json'))) as { name: unknown });
  } catch {
    // Told below.
  }
  if (name !== 'polykernel' || !existsSync(join(from, 'bin/pk')))
    throw new PolykernelError('invalid', `--from: ${from} is no checkout of Polykernel`, {
      ...at(from),
      hint: 'Give the directory that has its bin/pk, and set it up first: bin/pk setup',
    });
  if (!existsSync(join(from, 'src/daemon/stand-by.ts')))
    throw new PolykernelError('unsupported', `the version in ${from} cannot take over from a daemon that runs`, {
      ...at(from),
      hint: `Its daemon takes up all kernels when this one has ended: pk daemon stop && ${from}/bin/pk daemon start`,
    });
}

/** Of a FIFO or a device nothing is waited for. */
function textOf(path: string): string {
  const fd = openRegular(path);
  if (fd === undefined) return '';
  try {
    return (readerOf(fd)(0, Math.min(fstatSync(fd).size, PACKAGE_BYTES)) ?? Buffer.alloc(0)).toString('utf8');
  } finally {
    closeSync(fd);
  }
}
