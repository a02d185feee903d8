/**
 * Which kernel modules a guest needs and in which order they load. The facts come from the modules' own .modinfo
 * sections, as Debian's packages hold no modules.dep (depmod writes it at installation).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { PolykernelError } from '../sys/errors.ts';
import { run } from '../sys/process.ts';
import { toolPath } from '../sys/tools.ts';
import { readElf, readerOfBuffer } from './elf.ts';
import type { KernelImage, ModulePurpose } from './image.ts';

/**
 * The modules asked for by purpose; what they depend on is found out. `crc32c_generic` stands first for ext4, whose
 * journal asks the crypto layer for it by name, which no dependency records.
 */
export const WANTED_MODULES: Readonly<Record<KernelImage['kind'], Partial<Record<ModulePurpose, readonly string[]>>>> =
  {
    uml: { overlay: ['overlay'], squashfs: ['squashfs'] },
    x86_64: {
      boot: ['virtio_pci', 'virtio_console'],
      share: ['9pnet_virtio', '9p'],
      overlay: ['overlay'],
      squashfs: ['squashfs'],
      ext4: ['crc32c_generic', 'ext4'],
      block: ['virtio_blk'],
      network: ['virtio_net'],
    },
  };

/** Modules that newer kernels turned into library code: nothing is wrong when they are nowhere. */
const OPTIONAL = new Set(['crc32c_generic']);
const MAX_MODULE_BYTES = 64 * 1024 * 1024;

export interface ModuleInfo {
  /** Names of modules that must be loaded before. */
  depends: readonly string[];
  /** `uname -r` of the kernel it was built for. */
  version: string;
}

/** Every module below a directory: name, with `_` for `-` as the kernel does, to path. */
export function indexModules(directory: string): Map<string, string> {
  const index = new Map<string, string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const name = /^(.+)\.ko(\.xz|\.zst|\.gz)?$/.exec(entry.name)?.[1];
    if (name !== undefined && entry.isFile()) index.set(canonical(name), join(entry.parentPath, entry.name));
  }
  return index;
}

/** Names of the modules that modules.builtin says are part of the kernel. */
export function parseBuiltin(text: string): Set<string> {
  return new Set(text.split('\n').flatMap((line) => canonical(/([^/]+)\.ko$/.exec(line.trim())?.[1] ?? '') || []));
}

/** Contents of a module file, unpacked, so that the guest needs no decompressor. Throws `invalid` when it is damaged. */
export async function readModule(path: string): Promise<Buffer> {
  const bytes = readFileSync(path);
  try {
    if (path.endsWith('.gz')) return gunzipSync(bytes, { maxOutputLength: MAX_MODULE_BYTES });
    if (path.endsWith('.zst')) return zstdDecompressSync(bytes, { maxOutputLength: MAX_MODULE_BYTES });
  } catch (cause) {
    throw damaged(path, (cause as Error).message, cause);
  }
  if (!path.endsWith('.xz')) return bytes;
  const unpacked = await run([toolPath('xz').path, '-dc'], { input: bytes, maxOutputBytes: MAX_MODULE_BYTES });
  if (unpacked.code !== 0) throw damaged(path, unpacked.stderr.trim());
  return unpacked.stdoutBytes;
}

/** The facts a module states about itself in its .modinfo section, NUL-terminated `key=value` strings. */
export function readModuleInfo(path: string, bytes: Buffer): ModuleInfo {
  const read = readerOfBuffer(bytes);
  const section = readElf(read)?.sections.get('.modinfo');
  const text = section && read(section.offset, section.size)?.toString('latin1');
  if (text === undefined) throw damaged(path, 'it has no .modinfo section');
  const values = (key: string) =>
    text.split('\0').flatMap((line) => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []));
  const before = values('softdep').flatMap((rule) => /\bpre:((?:\s+[\w-]+(?!:)\b)+)/.exec(rule)?.[1]?.trim() ?? []);
  return {
    depends: [...values('depends').join(',').split(','), ...before.join(' ').split(/\s+/)]
      .filter(Boolean)
      .map(canonical),
    version: values('vermagic')[0]?.split(' ')[0] ?? '',
  };
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
  const visit = (name: string) => {
    if (seen.has(name)) return;
    seen.add(name);
    const depends = dependsOf(name);
    if (depends === undefined) return;
    for (const dependency of depends) visit(dependency);
    order.push(name);
  };
  for (const root of roots) visit(root);
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
  kind: KernelImage['kind'],
  version: string,
  directory: string | undefined,
  builtin: ReadonlySet<string>,
): Promise<ChosenModules> {
  const index = directory === undefined ? new Map<string, string>() : indexModules(directory);
  const chosen: ChosenModules = { sets: {}, contents: new Map(), absent: new Map() };
  const facts = new Map<string, ModuleInfo>();
  const learn = async (name: string): Promise<void> => {
    const path = index.get(name);
    if (path === undefined || facts.has(name)) return;
    const bytes = await readModule(path);
    const info = readModuleInfo(path, bytes);
    if (info.version !== version) throw wrongVersion(path, info.version, version);
    facts.set(name, info);
    chosen.contents.set(name, bytes);
    for (const dependency of info.depends) await learn(dependency);
  };
  let boot: readonly string[] = [];
  for (const [purpose, roots] of Object.entries(WANTED_MODULES[kind]) as [ModulePurpose, readonly string[]][]) {
    for (const root of roots) await learn(root);
    const missing = roots.find((root) => !index.has(root) && !builtin.has(root) && !OPTIONAL.has(root));
    if (missing !== undefined) chosen.absent.set(purpose, missing);
    const order = loadOrder(roots, (name) => facts.get(name)?.depends).filter((name) => !boot.includes(name));
    if (purpose === 'boot') boot = order;
    // An empty set says that all of it is built in; who must know that a network works looks for it.
    if (missing === undefined && (order.length > 0 || purpose === 'network')) chosen.sets[purpose] = order;
  }
  const used = new Set(Object.values(chosen.sets).flat());
  for (const name of chosen.contents.keys()) if (!used.has(name)) chosen.contents.delete(name);
  return chosen;
}

function canonical(name: string): string {
  return name.replaceAll('-', '_');
}

function damaged(path: string, reason: string, cause?: unknown): PolykernelError {
  return new PolykernelError('invalid', `the kernel module ${path} is damaged: ${reason}`, { field: 'modules', cause });
}

function wrongVersion(path: string, found: string, wanted: string): PolykernelError {
  const message = `the kernel module ${path} was built for Linux ${found}, and the kernel is ${wanted}`;
  return new PolykernelError('invalid', message, {
    field: 'modules',
    value: path,
    hint: `Give the module directory of that kernel, as a rule /lib/modules/${wanted}.`,
  });
}
