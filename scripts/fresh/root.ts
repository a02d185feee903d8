/** A fresh system: a copy of a base with this checkout in somebody's home. It is gone when it is disposed of. */
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../src/sys/command.ts';
import { run } from '../../src/sys/process.ts';
import { argvInside, configure, environmentOf, keptDirectory } from './base.ts';
import type { Ways } from './host.ts';
import { type Log, programRuns } from './inside.ts';
import type { User } from './options.ts';
import type { System } from './systems.ts';

const CHECKOUT = join(import.meta.dirname, '../..');
const ARCHIVES = 'var/cache/apt/archives';

export class FreshSystem implements AsyncDisposable {
  readonly #directory = mkdtempSync('/var/tmp/polykernel-fresh-');
  readonly #root = join(this.#directory, 'root');
  readonly #home: string;
  readonly #system: System;
  readonly #as: User;
  readonly #ways: Ways;

  constructor(system: System, as: User, ways: Ways) {
    [this.#system, this.#as, this.#ways] = [system, as, ways];
    this.#home = as === 'root' ? '/root' : `/home/${as}`;
  }

  /** Copies `base`, makes the user, and gives it the files of the checkout and what earlier runs have downloaded. */
  async make(base: string, signal: AbortSignal): Promise<void> {
    await runCommand(['cp', '-a', base, this.#root], { signal });
    chmodSync(this.#root, 0o755);
    await configure(this.#root, this.#ways);
    if (this.#as !== 'root') await runCommand(['chroot', this.#root, 'useradd', '--create-home', this.#as], { signal });
    const checkout = join(this.#root, this.#home, 'polykernel');
    mkdirSync(checkout);
    const list = ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '-z'];
    const { stdout } = await runCommand(list, { cwd: CHECKOUT, signal });
    const files = stdout.split('\0').filter((file) => file !== '' && existsSync(join(CHECKOUT, file)));
    const archive = join(this.#directory, 'checkout.tar');
    const pack = ['tar', '--create', '--null', '--files-from=-', `--file=${archive}`, '--owner=0', '--group=0'];
    await runCommand(pack, { cwd: CHECKOUT, input: files.join('\0'), signal });
    await runCommand(['tar', '--extract', `--file=${archive}`], { cwd: checkout, signal });
    rmSync(archive);
    for (const [kept, path] of this.#kept()) if (existsSync(kept)) cpSync(kept, path, { recursive: true });
    const own = ['chroot', this.#root, 'chown', '-R', `${this.#as}:`, this.#home];
    await runCommand(own, { signal });
  }

  /** Runs a command line of the shell in the checkout, as the user. Rejects when it fails. */
  async run(command: string, log: Log, signal: AbortSignal): Promise<void> {
    const ids = ['setpriv', `--reuid=${this.#as}`, `--regid=${this.#as}`, '--init-groups'];
    const shell = ['sh', '-c', 'cd "$HOME/polykernel" && eval "$1"', 'sh', command];
    const argv = argvInside(this.#root, this.#system.name, [...ids, ...shell]);
    await programRuns(argv, environmentOf(this.#home, this.#ways), log, signal);
  }

  /** Keeps what was downloaded for the next fresh system. */
  async keep(): Promise<void> {
    for (const [kept, path] of this.#kept()) {
      if (existsSync(kept) || !existsSync(path) || (await readdir(path)).length === 0) continue;
      const copying = `${kept}.new`;
      rmSync(copying, { recursive: true, force: true });
      cpSync(path, copying, { recursive: true });
      renameSync(copying, kept);
    }
  }

  /** Where downloads are kept, and where they are in the system. */
  #kept(): [string, string][] {
    const at = join(keptDirectory(), `${this.#system.name}.${this.#as}`);
    const npm: [string, string] = [`${at}.npm`, join(this.#root, this.#home, '.npm')];
    return this.#as === 'root' ? [npm, [`${at}.apt`, join(this.#root, ARCHIVES)]] : [npm];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // By a program: there are a hundred thousand files.
    await run(['rm', '-rf', '--one-file-system', this.#directory], { deadlineMs: 10 * 60_000 });
  }
}
