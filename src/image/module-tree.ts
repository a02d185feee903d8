/**
 * All modules of a kernel, as guests see them below /lib/modules/VERSION: unpacked, so that every modprobe can load them, and
 * with the lists that it looks them up in. Made once, when an image is taken in.
 */
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, existsSync, linkSync, lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { checkRoom } from '../sys/free-space.ts';
import { run } from '../sys/process.ts';
import { formatBytes } from '../sys/units.ts';
import type { Blob } from './blobs.ts';
import { MAX_TEXT_BYTES, MAX_TREE_BYTES } from './kernel-bounds.ts';
import { type ListedModule, moduleLists } from './module-index.ts';
import { indexModules, readModuleInfo, readWhole, tooMuch } from './modules.ts';
import { readModules } from './packed-modules.ts';

/** What else of the directory is of use there. */
const CARRIED = ['modules.builtin', 'modules.builtin.modinfo', 'modules.order'];
/** Names that can stand in the lists: neither spaces nor colons, nor what a terminal heeds. */
const PLAIN_PATH = /^[\w.,+@-]+(?:\/[\w.,+@-]+)*$/;
const LIST = 'modules.dep.bin';
const SYNC_DEADLINE_MS = 120_000;

export interface TreeTask {
  /** Of this kernel's modules. */
  directory: string;
  version: string;
  builtin: ReadonlySet<string>;
  /** Whether files of it may become the tree's own: nobody else has them. */
  isOurs: boolean;
  signal?: AbortSignal | undefined;
}

/** The trees of the store, by the hash of what is in them. */
export class ModuleTrees {
  readonly #directory: string;

  /** `directory`: the store's. */
  constructor(directory: string) {
    this.#directory = join(directory, 'modules');
  }

  path(sha256: string): string {
    return join(this.#directory, sha256);
  }

  /** The path of a tree if it is there. */
  find(tree: Blob | undefined): string | undefined {
    if (tree === undefined) return undefined;
    const path = this.path(tree.sha256);
    return existsSync(join(path, LIST)) ? path : undefined;
  }

  /**
   * Makes a tree in `scratch`, a path where nothing is yet, and takes it in; undefined where there are no modules.
   * Throws `invalid` for damaged modules or too many, `internal` or `unavailable` when the disk gets full, the reason of `signal`.
   */
  async make(task: TreeTask, scratch: string): Promise<Blob | undefined> {
    const paths = [...indexModules(task.directory).values()].filter((path) => placeOf(path, task) !== undefined).sort();
    if (paths.length === 0) return undefined;
    checkSize(paths, task, scratch);
    let size = 0;
    const hash = createHash('sha256');
    const listed: ListedModule[] = [];
    mkdirSync(scratch, { mode: 0o755 });
    for await (const { path, bytes } of readModules(paths, task.signal)) {
      const { version, needs, aliases, softDepends } = readModuleInfo(path, bytes);
      // Of another kernel, as an update leaves some behind: this one would not take it.
      if (version !== task.version) continue;
      size += bytes.length;
      if (size > MAX_TREE_BYTES) throw tooLarge(task);
      const place = placeOf(path, task)!;
      const target = join(scratch, place);
      mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
      if (path.endsWith('.ko') && task.isOurs) own(path, target);
      else writeFileSync(target, bytes, { mode: 0o644, flag: 'wx' });
      const name = place.slice(place.lastIndexOf('/') + 1, -'.ko'.length).replaceAll('-', '_');
      listed.push({ name, path: place, depends: needs, aliases, softDepends });
      hash.update(`${place}\0${createHash('sha256').update(bytes).digest('hex')}\n`);
    }
    if (listed.length === 0) return undefined;
    for (const [name, content] of moduleLists(listed.sort(byPath), task.builtin)) {
      writeFileSync(join(scratch, name), content, { mode: 0o644, flag: 'wx' });
      hash.update(`${name}\0`).update(content);
    }
    for (const name of CARRIED) carry(join(task.directory, name), join(scratch, name));
    return this.#take(scratch, { sha256: hash.digest('hex'), size });
  }

  /** Removes every tree that is not in `keep`. The caller holds the store's lock. */
  async collect(keep: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#directory).catch(() => [])) {
      if (!keep.has(name)) await rm(this.path(name), { recursive: true, force: true });
    }
  }

  async #take(scratch: string, tree: Blob): Promise<Blob> {
    const path = this.path(tree.sha256);
    if (this.find(tree) !== undefined) return tree;
    // Thousands of files: one call for all that the file system still has to write.
    const { code, stderr } = await run(['sync', '-f', scratch], { deadlineMs: SYNC_DEADLINE_MS });
    if (code !== 0) throw new Error(`sync: ${stderr.trim()}`);
    await mkdir(this.#directory, { recursive: true });
    await rm(path, { recursive: true, force: true });
    await rename(scratch, path);
    return tree;
  }
}

/** Hashes of the trees that some images need. */
export function treesOf(contents: readonly { tree?: Blob | undefined }[]): Set<string> {
  return new Set(contents.flatMap(({ tree }) => tree?.sha256 ?? []));
}

const byPath = (a: ListedModule, b: ListedModule) => (a.path < b.path ? -1 : 1);

/** Where a module comes to lie in the tree, without what says that it is packed; undefined for a name that lists cannot have. */
function placeOf(path: string, { directory }: Pick<TreeTask, 'directory'>): string | undefined {
  const place = relative(directory, path).replace(/\.(?:gz|xz|zst)$/, '');
  return PLAIN_PATH.test(place) ? place : undefined;
}

/** By the files as they are, which may be packed. */
function checkSize(paths: readonly string[], task: TreeTask, scratch: string): void {
  const size = paths.reduce((sum, path) => sum + lstatSync(path).size, 0);
  if (size > MAX_TREE_BYTES) throw tooLarge(task);
  checkRoom(dirname(scratch), task.isOurs ? 0 : size, `the modules of Linux ${task.version}`);
}

function tooLarge({ directory }: TreeTask): Error {
  return tooMuch(directory, `they are larger than ${formatBytes(MAX_TREE_BYTES)} together`);
}

/** Gives a file of ours a second name. */
function own(path: string, target: string): void {
  linkSync(path, target);
  if (process.getuid?.() === 0) chownSync(target, 0, 0);
  chmodSync(target, 0o644);
}

function carry(source: string, target: string): void {
  if (!lstatSync(source, { throwIfNoEntry: false })?.isFile()) return;
  writeFileSync(target, readWhole(source, MAX_TEXT_BYTES), { mode: 0o644, flag: 'wx' });
}
