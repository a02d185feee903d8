/**
 * A commit, unpacked and set up by its own set-up, with a cache and a state directory of its own. Nothing of it is in the
 * repository or in the user's cache, so that removing its directory removes all.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../src/sys/command.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { cacheDirectory } from '../../src/sys/paths.ts';
import { hostProcesses } from '../../test/support/host-processes.ts';

const ROOT = join(import.meta.dirname, '../..');
/** Of the cache, what a commit's set-up need not get again: it is checked there by content. */
const SHARED = ['debian', 'images', 'native', 'uml-lpj.json'];

export class Checkout {
  readonly commit: string;
  readonly tree: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #directory: string;
  readonly #signal: AbortSignal;

  private constructor(commit: string, directory: string, signal: AbortSignal) {
    this.commit = commit;
    this.#directory = directory;
    this.#signal = signal;
    this.tree = join(directory, 'tree');
    const { NODE_COMPILE_CACHE: _, ...env } = process.env;
    this.env = {
      ...env,
      NO_COLOR: '1',
      POLYKERNEL_HOME: join(directory, 'home'),
      POLYKERNEL_CACHE: join(directory, 'cache'),
    };
  }

  /** Full hash of what `revision` names. Rejects with `invalid`. */
  static async resolve(revision: string, signal: AbortSignal): Promise<string> {
    const argv = ['git', 'rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`];
    try {
      return (await runCommand(argv, { cwd: ROOT, signal })).stdout.trim();
    } catch (error) {
      if (signal.aborted) throw error;
      throw new PolykernelError('invalid', `${JSON.stringify(revision)} names no commit of this repository`, {
        value: revision,
        hint: 'What is to be compared has to be committed; in a shallow clone: git fetch --unshallow.',
      });
    }
  }

  /** Makes it in `directory`, which is new. Rejects with what git or the commit's set-up complains of. */
  static async make(commit: string, directory: string, signal: AbortSignal): Promise<Checkout> {
    const checkout = new Checkout(commit, directory, signal);
    const archive = join(directory, 'tree.tar');
    await mkdir(checkout.tree, { recursive: true, mode: 0o700 });
    await mkdir(join(directory, 'cache'), { mode: 0o700 });
    await runCommand(['git', 'archive', '--format=tar', '-o', archive, commit], { cwd: ROOT, signal });
    await runCommand(['tar', '-xf', archive, '-C', checkout.tree], { signal });
    await rm(archive);
    await checkout.#linkPackages();
    const shared = SHARED.map((name) => join(cacheDirectory(), name)).filter(existsSync);
    if (shared.length > 0)
      await runCommand(['cp', '-a', '--reflink=auto', ...shared, join(directory, 'cache')], { signal });
    await runCommand(['sh', 'scripts/setup.sh', '--quiet'], { cwd: checkout.tree, env: checkout.env, signal });
    return checkout;
  }

  /** Wall time in ms of `bin/pk ARGS`, start of the CLI included. Rejects when it fails. */
  async time(...args: string[]): Promise<number> {
    const began = performance.now();
    await this.run(join(this.tree, 'bin/pk'), ...args);
    return performance.now() - began;
  }

  /** What a program says that has to succeed. */
  async run(...argv: string[]): Promise<string> {
    const { stdout } = await runCommand(argv, { cwd: this.tree, env: this.env, signal: this.#signal });
    return stdout;
  }

  /** Ends all that runs in it and removes it. */
  async remove(): Promise<void> {
    // Not with the signal: it may have fired already, and this is what has to be done then.
    await runCommand([join(this.tree, 'bin/pk'), 'daemon', 'stop'], { cwd: '/', env: this.env }).catch(() => {});
    await Checkout.sweep(this.#directory);
  }

  /** Ends the processes of a directory and removes it. */
  static async sweep(directory: string): Promise<void> {
    for (const pid of await hostProcesses(directory)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself just now.
      }
    }
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  }

  /** The packages of this checkout, if the commit locks the same ones; else its set-up installs its own. */
  async #linkPackages(): Promise<void> {
    const [own, wanted] = await Promise.all(
      [join(ROOT, 'node_modules/.polykernel-lock.json'), join(this.tree, 'package-lock.json')].map((path) =>
        readFile(path, 'utf8').catch(() => undefined),
      ),
    );
    if (own !== undefined && own === wanted)
      await symlink(join(ROOT, 'node_modules'), join(this.tree, 'node_modules'), 'dir');
  }
}
