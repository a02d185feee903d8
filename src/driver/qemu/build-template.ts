/** Boots a kernel up to its agent, loads what every clone needs, and writes its memory and state to files. */
import { randomBytes } from 'node:crypto';
import { chown, mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GuestLink } from '../../guest/index.ts';
import type { KernelImage } from '../../image/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Identity } from '../../sys/identity.ts';
import { NotGone } from '../driver.ts';
import type { Bind } from '../jail/jail.ts';
import { removeLimits } from '../jail/limits.ts';
import { connectShim, killShim } from '../shim/shim.ts';
import { earlyEnd, startFailure } from '../shim/start.ts';
import { leaveCard } from './card.ts';
import { JAIL_RAM, JAIL_STATE, type Machine } from './command.ts';
import { templateModules } from './guest-root.ts';
import { launchQemu } from './launch.ts';
import { saveState } from './migration.ts';
import type { QemuProgram } from './program.ts';
import { Qmp } from './qmp.ts';

/** QEMU writes its state through a program: it has no URI for a file, and nobody can hand its monitor a descriptor. */
const WRITER: readonly Bind[] = ['/bin/sh', '/bin/cat'].map((path) => ({ source: path, target: path, access: 'read' }));
const WRITE_STATE = `exec:exec /bin/cat >${JAIL_STATE}`;

/**
 * After this long the kernel has freed what it needed for booting and its timers are sparse; otherwise each clone would
 * begin with that work.
 */
const SETTLE_MS = 1500;

export interface TemplateRequest {
  qemu: QemuProgram;
  machine: Machine;
  image: KernelImage;
  readyTimeoutMs: number;
  /** CPUs it may run on; undefined = any. */
  housekeepingCpus: readonly number[] | undefined;
  /** Whose its processes are, for as long as it is built. */
  identity: Identity;
}

/**
 * Makes `ram` and `state` in `directory`. No workload runs in a template, its files are those of this user, and its
 * agent has not been configured: it has no name, no seed and no boot id yet, so that each clone gets its own.
 * Rejects as Driver.start() does; then no process is left.
 */
export async function buildTemplate(directory: string, request: TemplateRequest, signal: AbortSignal): Promise<void> {
  try {
    await build(directory, request, signal);
  } catch (error) {
    if (!(error instanceof NotGone)) throw error;
    // Of the kernel that is to be cloned nothing runs.
    throw new PolykernelError('internal', `the template: ${error.message}`, { hint: error.hint, cause: error });
  }
}

async function build(directory: string, request: TemplateRequest, signal: AbortSignal): Promise<void> {
  const { image, identity, machine, readyTimeoutMs } = request;
  const [run, empty] = [join(directory, 'run'), join(directory, 'empty')];
  const [ram, state] = [join(directory, 'ram'), join(directory, 'state')];
  await Promise.all([mkdir(run, { mode: 0o700 }), mkdir(empty), writeFile(state, '', { mode: 0o600 })]);
  await makeSparse(ram, machine.memoryBytes);
  if (identity.kind === 'range')
    await Promise.all([ram, state].map((path) => chown(path, identity.start, identity.start)));

  const timeout = AbortSignal.timeout(readyTimeoutMs);
  const both = AbortSignal.any([signal, timeout]);
  const done = new AbortController();
  const guest = new GuestLink({ name: 'template', isPort: true });
  try {
    await launchQemu(
      {
        directory: run,
        qemu: request.qemu,
        machine,
        start: 'template',
        spec: {
          id: randomBytes(16).toString('hex'),
          image,
          root: { kind: 'directory', path: empty },
          volumes: [],
          identity,
          placement: undefined,
          housekeepingCpus: request.housekeepingCpus,
          hiddenPaths: [],
          shownPaths: [],
        },
        binds: [
          { source: ram, target: JAIL_RAM, access: 'write' },
          { source: state, target: JAIL_STATE, access: 'write' },
          ...WRITER,
        ],
      },
      both,
    );
    const ended = earlyEnd(run, done.signal, both);
    await Promise.race([ended, bootAndLoad(run, guest, image, both)]);
    guest.detach();
    await Promise.race([ended, save(run, both)]);
  } catch (error) {
    throw await startFailure({ directory: run, name: 'the template', readyTimeoutMs }, error, { signal, timeout });
  } finally {
    done.abort();
    guest.destroy();
    await killShim(run);
    await removeLimits(run);
    if (identity.kind === 'range') await Promise.all([ram, state].map((path) => chown(path, 0, 0)));
    await Promise.all([run, empty].map((path) => rm(path, { recursive: true, force: true })));
  }
}

/** Ends the kernel that a killed process left booting in `directory`. */
export async function abandonTemplate(directory: string): Promise<void> {
  await killShim(join(directory, 'run'));
  await removeLimits(join(directory, 'run'));
}

async function bootAndLoad(run: string, guest: GuestLink, image: KernelImage, signal: AbortSignal): Promise<void> {
  await guest.attach(await connectShim(run, 'control'), signal);
  const modules = templateModules(image).map((path) => ['module', path] as const);
  await guest.configure([...modules, leaveCard()], signal);
  await delay(SETTLE_MS, undefined, { signal });
}

async function save(run: string, signal: AbortSignal): Promise<void> {
  const monitor = await Qmp.open(await connectShim(run, 'monitor'), randomBytes(4).toString('hex'));
  try {
    await saveState(monitor, WRITE_STATE, signal);
  } finally {
    monitor.close();
  }
}

async function makeSparse(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  await file.truncate(bytes).finally(() => file.close());
}
