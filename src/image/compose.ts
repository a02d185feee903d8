/** Puts the initramfs of an image together: the agent as /init, and the modules the drivers may ask for. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type BootModule, buildInitramfs, type GuestPrograms, guestEntries, MODULE_DIRECTORY } from '../guest/index.ts';
import { type BlobStore, commitFile } from './blobs.ts';
import type { KernelImage } from './image.ts';
import type { ImageContent } from './manifest.ts';

/** An unfinished file this old belongs to nobody any more. */
const ABANDONED_MS = 60 * 60_000;

/** Paths in the guest by purpose, as drivers load them. */
export function modulePaths(content: ImageContent): KernelImage['modules'] {
  const sets = Object.entries(content.sets).map(([purpose, names]) => [purpose, names.map(guestPath)]);
  return Object.fromEntries(sets);
}

function guestPath(name: string): string {
  return `${MODULE_DIRECTORY}/${name}.ko`;
}

const fingerprints = new WeakMap<GuestPrograms, string>();

/** Identifies our programs together with everything else that an initramfs without modules holds. Counted once for an object. */
export function programsFingerprint(programs: GuestPrograms): string {
  const known = fingerprints.get(programs);
  if (known !== undefined) return known;
  const fingerprint = createHash('sha256')
    .update(buildInitramfs(guestEntries(programs)))
    .digest('hex');
  fingerprints.set(programs, fingerprint);
  return fingerprint;
}

/** Composed initramfs files, named by the digest of the whole image. */
export class InitramfsCache {
  readonly #directory: string;
  readonly #blobs: BlobStore;

  constructor(directory: string, blobs: BlobStore) {
    this.#directory = join(directory, 'initramfs');
    this.#blobs = blobs;
  }

  /** Path of the initramfs for an image, written now if it is not there yet. */
  async get(digest: string, content: ImageContent, programs: GuestPrograms): Promise<string> {
    const path = join(this.#directory, `${digest}.cpio`);
    if ((await stat(path).catch(() => undefined))?.isFile()) return path;
    const boot = new Set(content.sets.boot);
    const modules = new Map<string, BootModule>();
    for (const { name, sha256 } of content.modules) {
      modules.set(name, { name: `${name}.ko`, content: await readFile(this.#blobs.path(sha256)) });
    }
    const first = [...boot].flatMap((name) => modules.get(name) ?? []);
    const later = [...modules.keys()].filter((name) => !boot.has(name)).map((name) => modules.get(name)!);
    await mkdir(this.#directory, { recursive: true });
    const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
    const file = await open(temporary, 'wx');
    await file.writeFile(buildInitramfs(guestEntries(programs, first, later))).finally(() => file.close());
    await commitFile(temporary, path);
    return path;
  }

  /** Removes composed files of images or agents that are gone. */
  async collect(keep: ReadonlySet<string>): Promise<void> {
    for (const name of await readdir(this.#directory).catch(() => [])) {
      const path = join(this.#directory, name);
      const isOld = name.endsWith('.tmp')
        ? Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? 0) > ABANDONED_MS
        : !keep.has(name.replace(/\.cpio$/, ''));
      if (isOld) await rm(path, { force: true });
    }
  }
}
