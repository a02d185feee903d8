/**
 * Debian's package tools, with and without root rights. Without them packages are downloaded and unpacked, never
 * installed, from the machine's own lists or, where those are empty, from lists kept in the cache.
 */
import { createReadStream, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runCommand } from './command.ts';
import { startConfined } from './confined-tool.ts';
import { proxyEnvironment } from './environment.ts';
import type { PolykernelError } from './errors.ts';
import { freeToolId, takeToolId } from './tool-ids.ts';
import { TOOL_PLACE } from './tool-jail.ts';

export interface AptOptions {
  /** Directory for private package lists and downloads of a user without root rights. */
  directory: string;
  /** Whether the caller is root; then the machine's own lists are refreshed. */
  root: boolean;
  progress?: (line: string) => void;
  signal?: AbortSignal | undefined;
  /** Packages are unpacked in a jail. Set-up cannot have that: it gets what jails are made of by this very way. */
  confined?: boolean;
}

const LISTS = '/var/lib/apt/lists';
const PREPARED = 'Debian or Ubuntu with working package sources is needed; see /etc/apt/sources.list.';
const LOCK_TIMEOUT_S = 120;
/** dpkg-deb decompresses with a thread for each CPU. */
const UNPACK_PROCESSES = 256;
const UNPACK_DEADLINE_MS = 10 * 60_000;

/** The package tools of one machine. Lists are refreshed at most once per object. */
export class Apt {
  readonly #options: AptOptions;
  #refreshed = false;
  #private = false;

  constructor(options: AptOptions) {
    this.#options = options;
    this.#private = !options.root && !hasLists(LISTS);
  }

  /** Names of packages among `names` that the sources offer, in the given order. */
  async offered(names: readonly string[]): Promise<string[]> {
    const found = await this.#offeredNow(names);
    if (found.length > 0) return found;
    await this.#refresh();
    return this.#offeredNow(names);
  }

  /** Installed or candidate version of a package as apt would download it; undefined if it is unknown. */
  async candidate(name: string): Promise<string | undefined> {
    const { stdout } = await this.#run('apt-cache', ['policy', name]);
    const version = /^\s+Candidate: (\S+)/m.exec(stdout)?.[1];
    return version === '(none)' ? undefined : version;
  }

  /** Names of the packages that `name` depends on directly. */
  async depends(name: string): Promise<string[]> {
    const { stdout } = await this.#run('apt-cache', ['depends', '--no-pre-depends', name]);
    return [...stdout.matchAll(/^\s*\|?Depends: ([^<\s]\S*)/gm)].map((match) => match[1]!);
  }

  /** Installs packages for the whole machine. Root only. */
  async install(names: readonly string[]): Promise<void> {
    const command = ['install', '-y', '--no-install-recommends', ...names];
    const hint = `Try it by hand: apt-get ${command.join(' ')}`;
    await this.#withFreshLists(() => this.#run('apt-get', command, hint));
  }

  /** The packages that installing `names` would add to this machine, dependencies included. */
  async missing(names: readonly string[]): Promise<string[]> {
    const command = ['install', '-s', '--no-install-recommends', ...names];
    const { stdout } = await this.#withFreshLists(() => this.#run('apt-get', command));
    return [...stdout.matchAll(/^Inst (\S+)/gm)].map((match) => match[1]!);
  }

  /**
   * Downloads packages and unpacks them into `target` without installing anything.
   * @returns the file names of the packages, which hold their versions.
   */
  async unpack(names: readonly string[], target: string): Promise<string[]> {
    mkdirSync(this.#options.directory, { recursive: true });
    // One for all packages: they have directories in common.
    const uid = takeToolId();
    const downloads = mkdtempSync(join(this.#options.directory, 'download-'));
    try {
      await this.#withFreshLists(() => this.#run('apt-get', ['download', ...names], undefined, downloads));
      const files = readdirSync(downloads).filter((file) => file.endsWith('.deb'));
      mkdirSync(target, { recursive: true });
      for (const file of files) {
        this.#options.progress?.(`unpacking ${file}`);
        if (this.#options.confined) await this.#confined(join(downloads, file), target, uid);
        else await this.#unconfined(join(downloads, file), target);
      }
      return files.map((file) => basename(file, '.deb'));
    } finally {
      freeToolId(uid);
      rmSync(downloads, { recursive: true, force: true });
    }
  }

  async #unconfined(file: string, target: string): Promise<void> {
    await runCommand(['dpkg-deb', '-x', file, target], this.#abortable());
  }

  async #confined(file: string, target: string, uid: number | undefined): Promise<void> {
    const { signal } = this.#options;
    const run = { programs: ['dpkg-deb', 'tar'], args: ['-x', '-', TOOL_PLACE], place: target, uid };
    const input = createReadStream(file);
    const task = { subject: basename(file), ...run, input, bounds: { processes: UNPACK_PROCESSES } };
    await startConfined({ ...task, deadlineMs: UNPACK_DEADLINE_MS, signal }).ended;
  }

  /** Lists that are absent or older than the mirror fail in many ways: refresh them once and try again. */
  async #withFreshLists<T>(action: () => Promise<T>): Promise<T> {
    if (this.#refreshed) return action();
    try {
      return await action();
    } catch (error) {
      if (this.#options.signal?.aborted || (error as PolykernelError).code === 'unavailable') throw error;
      await this.#refresh();
      return action();
    }
  }

  async #offeredNow(names: readonly string[]): Promise<string[]> {
    const versions = await Promise.all(names.map((name) => this.candidate(name)));
    return names.filter((_, index) => versions[index] !== undefined);
  }

  async #refresh(): Promise<void> {
    if (this.#refreshed) return;
    // Without root rights the machine's lists cannot be written: from here on use private ones.
    this.#private = !this.#options.root;
    this.#options.progress?.('refreshing the package lists (apt-get update)');
    // One broken source among several makes this fail; what matters is whether the package is then found.
    await this.#run('apt-get', ['update'], PREPARED).catch((error: PolykernelError) => {
      if (this.#options.signal?.aborted || error.code === 'unavailable') throw error;
      this.#options.progress?.(`apt-get update had problems: ${error.message.split('\n').at(-1)}`);
    });
    this.#refreshed = true;
  }

  #abortable() {
    return this.#options.signal ? { signal: this.#options.signal } : {};
  }

  #run(program: string, args: readonly string[], hint: string = PREPARED, cwd?: string) {
    const settings = ['-q', '-o', `DPkg::Lock::Timeout=${LOCK_TIMEOUT_S}`, '-o', 'APT::Sandbox::User=root'];
    if (this.#private) {
      const state = join(this.#options.directory, 'state');
      const cache = join(this.#options.directory, 'cache');
      for (const path of [join(state, 'lists', 'partial'), join(cache, 'archives', 'partial')]) {
        mkdirSync(path, { recursive: true });
      }
      settings.push('-o', `Dir::State=${state}`, '-o', 'Dir::State::status=/var/lib/dpkg/status');
      settings.push('-o', `Dir::Cache=${cache}`);
    }
    return runCommand([program, ...settings, ...args], {
      // English, for what is parsed here; no questions, as nobody may be there to answer.
      env: { ...proxyEnvironment(), LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      ...this.#abortable(),
      hint,
      ...(cwd === undefined ? {} : { cwd }),
    });
  }
}

function hasLists(path: string): boolean {
  try {
    return readdirSync(path).some((file) => /Packages(\.\w+)?$/.test(file));
  } catch {
    return false;
  }
}
