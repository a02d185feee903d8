/**
 * Which kernel modules a guest needs and in which order they load. The facts come from the modules' own .modinfo
 * sections, as Debian's packages hold no modules.dep (depmod writes it at installation).
 */
import { closeSync, constants, fstatSync, opendirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { confinedOutput } from '../sys/confined-tool.ts';
import { PolykernelError } from '../sys/errors.ts';
import { openRegular } from '../sys/read-at.ts';
import { formatBytes } from '../sys/units.ts';
import { readElf, readerOfBuffer } from './elf.ts';
import type { ImageKind, ModulePurpose } from './image.ts';
import { MAX_MODULE_BYTES, MAX_MODULE_FILES, MAX_MODULES, MAX_MODULES_BYTES, MAX_TEXT_BYTES } from './kernel-bounds.ts';

/**
 * The modules asked for by purpose; what they depend on is found out. `crc32c_generic` stands first for ext4, whose
 * journal asks the crypto layer for it by name, which no dependency records.
 */
export const WANTED_MODULES: Readonly<Record<ImageKind, Partial<Record<ModulePurpose, readonly string[]>>>> = {
  uml: { overlay: ['overlay'], squashfs: ['squashfs'], fuse: ['fuse'] },
  x86_64: {
    boot: ['virtio_pci', 'virtio_console'],
    share: ['9pnet_virtio', '9p'],
    overlay: ['overlay'],
    squashfs: ['squashfs'],
    ext4: ['crc32c_generic', 'ext4'],
    block: ['virtio_blk'],
    network: ['virtio_net'],
    balloon: ['virtio_balloon'],
    panic: ['pvpanic_mmio'],
    watchdog: ['i6300esb'],
  },
};

/** Modules that newer kernels turned into library code: nothing is wrong when they are nowhere. */
const OPTIONAL = new Set(['crc32c_generic']);
export const UNPACK_DEADLINE_MS = 60_000;
/** By the ending of a file's name. All of them take several packed files one after the other for one. */
export const UNPACKERS: Readonly<Record<string, readonly string[]>> = {
  '.gz': ['gzip', '-dc'],
  '.zst': ['zstd', '-dcq'],
  '.xz': ['xz', '-dc', '-T1'],
};

export interface ModuleInfo {
  /** Names of modules that must be loaded before, or are wished to be. */
  depends: readonly string[];
  /** Those alone without which it cannot be loaded. */
  needs: readonly string[];
  /** Rules such as `pre: a b post: c`. */
  softDepends: readonly string[];
  /** What else it is asked for by, as `fs-ext4`. */
  aliases: readonly string[];
  /** `uname -r` of the kernel it was built for. */
  version: string;
}

/**
 * Every module below a directory: name, with `_` for `-` as the kernel does, to path. Symbolic links are not followed.
 * Throws `invalid` when there is too much below it.
 */
export function indexModules(directory: string): Map<string, string> {
  const index = new Map<string, string>();
  const waiting = [directory];
  let count = 0;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const handle = opendirSync(next);
    try {
      for (let entry = handle.readSync(); entry !== null; entry = handle.readSync()) {
        count += 1;
        if (count > MAX_MODULE_FILES)
          throw tooMuch(directory, `there are more than ${MAX_MODULE_FILES} files below it`);
        const path = join(next, entry.name);
        if (entry.isDirectory()) waiting.push(path);
        const name = /^([\w-]{1,64})\.ko(?:\.xz|\.zst|\.gz)?$/.exec(entry.name)?.[1];
        if (name !== undefined && entry.isFile()) index.set(canonical(name), path);
      }
    } finally {
      handle.closeSync();
    }
  }
  return index;
}

/** Names of the modules that modules.builtin says are part of the kernel. */
export function parseBuiltin(text: string): Set<string> {
  const names = text.split('\n').map((line) => line.trim().slice(line.trim().lastIndexOf('/') + 1));
  return new Set(
    names.filter((name) => name.length > 3 && name.endsWith('.ko')).map((name) => canonical(name.slice(0, -3))),
  );
}

/** Contents of a module file, unpacked, so that the guest needs no decompressor. Throws `invalid` when it is damaged. */
export async function readModule(path: string, signal?: AbortSignal): Promise<Buffer> {
  const bytes = readWhole(path, MAX_MODULE_BYTES);
  const [program, ...args] = Object.entries(UNPACKERS).find(([ending]) => path.endsWith(ending))?.[1] ?? [];
  if (program === undefined) return bytes;
  const task = { subject: path, programs: [program], args, input: bytes, deadlineMs: UNPACK_DEADLINE_MS, signal };
  return confinedOutput(task, MAX_MODULE_BYTES).catch((error: PolykernelError) => {
    throw error.code === 'invalid' ? damaged(path, error.message, error) : error;
  });
}

/**
 * A whole regular file. Throws `invalid` when it is something else, a symbolic link too, or larger than `most` bytes: who can write to the
 * directory may have put a link there since it was looked at, to what guests are not to read.
 */
export function readWhole(path: string, most: number): Buffer {
  const fd = openUnlinked(path);
  if (fd === undefined) throw damaged(path, 'it is not a regular file');
  try {
    const { size } = fstatSync(fd);
    if (size > most) throw damaged(path, `it is larger than ${formatBytes(most)}`);
    const bytes = Buffer.alloc(size);
    return bytes.subarray(0, readSync(fd, bytes, 0, size, 0));
  } finally {
    closeSync(fd);
  }
}

function openUnlinked(path: string): number | undefined {
  try {
    return openRegular(path, constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') return undefined;
    throw error;
  }
}

/** The facts a module states about itself in its .modinfo section, NUL-terminated `key=value` strings. */
export function readModuleInfo(path: string, bytes: Buffer): ModuleInfo {
  const read = readerOfBuffer(bytes);
  const section = readElf(read)?.sections.get('.modinfo');
  const text = section && section.size <= MAX_TEXT_BYTES && read(section.offset, section.size)?.toString('latin1');
  if (!text) throw damaged(path, 'it has no .modinfo section');
  const lines = text.split('\0');
  const values = (key: string) =>
    lines.flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []));
  const needs = values('depends').flatMap((value) => value.split(','));
  const softDepends = values('softdep').filter((rule) => /^[\w\-: ]{1,1024}$/.test(rule));
  return {
    depends: moduleNames([...needs, ...softDepends.flatMap(loadedBefore)]),
    needs: moduleNames(needs),
    softDepends,
    // As long as any: the index of all has a level for each character, at worst.
    aliases: values('alias').filter((alias) => /^[!-~]{1,1024}$/.test(alias)),
    version: values('vermagic')[0]?.split(' ', 1)[0]?.slice(0, 256) ?? '',
  };
}

function moduleNames(names: readonly string[]): string[] {
  return [...new Set(names.filter((name) => /^[\w-]{1,64}$/.test(name)).map(canonical))];
}

/** The names between `pre:` and the next `post:` of a rule such as `pre: a b post: c`. */
export function loadedBefore(rule: string): string[] {
  let before = false;
  return rule.split(/\s+/).filter((word) => {
    if (word.endsWith(':')) before = word === 'pre:';
    return before && !word.endsWith(':');
  });
}

/**
 * The order in which `roots` and all they depend on must load: each module after those it needs, none twice.
 * `dependsOf` gives the direct dependencies of a module, and undefined for one that is part of the kernel.
 */
export function loadOrder(
  roots: readonly string[],
  dependsOf: (name: string) => readonly string[] | undefined,
): string[] {
  const order: string[] = [];
  const seen = new Set<string>();
  // A stack of our own: a chain of modules may be longer than calls can be nested.
  const open: { name: string; rest: string[] }[] = [];
  const enter = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    const depends = dependsOf(name);
    if (depends !== undefined) open.push({ name, rest: [...depends].reverse() });
  };
  for (const root of roots) {
    enter(root);
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const next = top.rest.pop();
      if (next !== undefined) enter(next);
      else order.push(open.pop()!.name);
    }
  }
  return order;
}

/** Modules by purpose, in load order; those of `boot` are loaded before all others and stand nowhere else. */
export type ModuleSets = Partial<Record<ModulePurpose, readonly string[]>>;

export interface ChosenModules {
  sets: ModuleSets;
  /** Unpacked contents by name. */
  contents: Map<string, Buffer>;
  /** Purposes with a wanted module that is neither there nor known to be built in, with the module's name. */
  absent: Map<ModulePurpose, string>;
}

/**
 * Chooses the modules that a kind of kernel needs from a directory.
 * Throws `invalid` when one was built for another kernel than `version`.
 */
export async function chooseModules(
  kind: ImageKind,
  version: string,
  directory: string | undefined,
  builtin: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<ChosenModules> {
  const index = directory === undefined ? new Map<string, string>() : indexModules(directory);
  const chosen: ChosenModules = { sets: {}, contents: new Map(), absent: new Map() };
  const facts = new Map<string, ModuleInfo>();
  let total = 0;
  const learn = async (root: string): Promise<void> => {
    const waiting = [root];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const path = index.get(name);
      if (path === undefined || facts.has(name)) continue;
      const bytes = await readModule(path, signal);
      const info = readModuleInfo(path, bytes);
      if (info.version !== version) throw wrongVersion(path, info.version, version);
      facts.set(name, info);
      chosen.contents.set(name, bytes);
      total += bytes.length;
      if (facts.size > MAX_MODULES) throw tooMuch(path, `more than ${MAX_MODULES} modules are needed`);
      if (total > MAX_MODULES_BYTES)
        throw tooMuch(path, `its modules are larger than ${formatBytes(MAX_MODULES_BYTES)}`);
      waiting.push(...[...info.depends].reverse());
    }
  };
  let boot: readonly string[] = [];
  for (const [purpose, roots] of Object.entries(WANTED_MODULES[kind]) as [ModulePurpose, readonly string[]][]) {
    for (const root of roots) await learn(root);
    const missing = roots.find((root) => !index.has(root) && !builtin.has(root) && !OPTIONAL.has(root));
    if (missing !== undefined) chosen.absent.set(purpose, missing);
    const order = loadOrder(roots, (name) => facts.get(name)?.depends).filter((name) => !boot.includes(name));
    if (purpose === 'boot') boot = order;
    // An empty set says that all of it is built in; who must know that a network or FUSE works looks for it.
    const isLookedFor = purpose === 'network' || purpose === 'fuse';
    if (missing === undefined && (order.length > 0 || isLookedFor)) chosen.sets[purpose] = order;
  }
  const used = new Set(Object.values(chosen.sets).flat());
  for (const name of chosen.contents.keys()) if (!used.has(name)) chosen.contents.delete(name);
  return chosen;
}

export function canonical(name: string): string {
  return name.replaceAll('-', '_');
}

export function damaged(path: string, reason: string, cause?: unknown): PolykernelError {
  return new PolykernelError('invalid', `the kernel module ${path} is damaged: ${reason}`, { field: 'modules', cause });
}

export function tooMuch(path: string, reason: string): PolykernelError {
  return new PolykernelError('invalid', `the modules cannot be taken in: ${reason}`, { field: 'modules', value: path });
}

function wrongVersion(path: string, found: string, wanted: string): PolykernelError {
  const message = `the kernel module ${path} was built for Linux ${found}, and the kernel is ${wanted}`;
  return new PolykernelError('invalid', message, {
    field: 'modules',
    value: path,
    hint: `Give the module directory of that kernel, as a rule /lib/modules/${wanted}.`,
  });
}
