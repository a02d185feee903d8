/** The files below the root of a machine or a snapshot, so that no link leads out of it. */
import type { FileTree } from './tree.ts';

/** As Linux: path_resolution(7), MAXSYMLINKS. */
const MAX_LINKS = 40;
/** /proc/cpuinfo of 1,024 CPUs is 1.5 MB. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * Files of a machine. Links are followed as that machine would follow them, absolute ones and `..` staying below the root,
 * so that a snapshot never shows this machine's files. Paths are relative to the root, without a leading slash.
 */
export class MachineFiles {
  readonly #tree: FileTree;
  /** Where directories and links lead; null = nowhere. */
  readonly #resolved = new Map<string, string | null>([['', '']]);

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  /**
   * Content without white space at its ends, at most `maxBytes`; undefined for what is no readable file. tar believes the
   * 4096 bytes that sysfs gives for every file and fills what is missing with zeros: they are cut off too.
   */
  text(path: string, maxBytes?: number): string | undefined {
    const text = this.bytes(path, maxBytes)?.toString('latin1');
    const zero = text?.indexOf('\0') ?? -1;
    return (zero < 0 ? text : text!.slice(0, zero))?.trim();
  }

  /** A whole number; undefined for anything else, also for one that is too large to be exact. */
  integer(path: string): number | undefined {
    const text = this.text(path, 64);
    return text !== undefined && /^(-?\d{1,15}|0x[\da-f]{1,12})$/i.test(text) ? Number(text) : undefined;
  }

  bytes(path: string, maxBytes: number = MAX_BYTES): Buffer | undefined {
    const at = this.#inRealDirectory(path);
    const found = at === undefined ? undefined : this.#tree.read(at, maxBytes);
    if (found !== null) return found;
    const real = this.real(path);
    return real === undefined ? undefined : (this.#tree.read(real, maxBytes) ?? undefined);
  }

  /** Names in a directory, in no order; none when there is no such directory. */
  names(directory: string): string[] {
    const real = this.#tree.isThisMachine ? directory : this.real(directory);
    return real === undefined ? [] : this.#tree.names(real);
  }

  /** Last component of a link's target, whether or not that exists (`driver` gives `nvme`); undefined for what is no link. */
  linkName(path: string): string | undefined {
    const at = this.#inRealDirectory(path);
    const target = at === undefined ? undefined : this.#tree.link(at);
    return target?.replace(/\/+$/, '').split('/').at(-1);
  }

  /** The path with every link followed; undefined when it leads nowhere. */
  real(path: string): string | undefined {
    return this.#follow(path) ?? undefined;
  }

  #inRealDirectory(path: string): string | undefined {
    const slash = path.lastIndexOf('/');
    if (this.#tree.isThisMachine || slash < 0) return path;
    const directory = this.real(path.slice(0, slash));
    return directory === undefined ? undefined : directory + path.slice(slash);
  }

  #follow(path: string): string | null {
    const known = this.#resolved.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf('/');
    const parent = this.#follow(slash < 0 ? '' : path.slice(0, slash));
    const found = parent === null ? null : this.#step(parent, path.slice(slash + 1), { links: 0 });
    this.#resolved.set(path, found);
    return found;
  }

  /** `name` in `parent`, which is free of links. */
  #step(parent: string, name: string, count: { links: number }): string | null {
    if (name === '' || name === '.') return parent;
    // `..` of the root is the root.
    if (name === '..') return parent.slice(0, Math.max(0, parent.lastIndexOf('/')));
    const path = parent === '' ? name : `${parent}/${name}`;
    const target = this.#tree.link(path);
    if (target === undefined) return null;
    if (target === null) return path;
    if (++count.links > MAX_LINKS) return null;
    let at: string | null = target.startsWith('/') ? '' : parent;
    for (const part of target.split('/')) if (at !== null) at = this.#step(at, part, count);
    return at;
  }
}
