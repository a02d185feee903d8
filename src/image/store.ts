/**
 * The store of kernel images below the cache directory.
 *
 *   names/NAME.json         what an image consists of
 *   blobs/sha256/HEX        kernels and modules
 *   modules/HEX/            all modules of a kernel, for its guests to load
 *   initramfs/DIGEST.cpio   composed when first asked for, again when the programs of ours changed
 *   tmp/, lock              of the process that changes the store
 *
 * INVARIANTS: a name appears only after all its blobs are there; blobs go only when no name needs them. So a crash at any
 * point leaves either the image or nothing of it, and readers need no lock.
 */
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join, resolve as resolvePath } from 'node:path';
import type { GuestPrograms } from '../guest/index.ts';
import { Apt } from '../sys/apt.ts';
import { closest } from '../sys/closest.ts';
import { PolykernelError } from '../sys/errors.ts';
import { cacheDirectory } from '../sys/paths.ts';
import { closePatiently, openPatiently } from '../sys/patience.ts';
import { ingestApart } from './apart.ts';
import { BlobStore, commitFile } from './blobs.ts';
import { InitramfsCache, modulePaths, programsFingerprint } from './compose.ts';
import { fetchKernel, type KernelSource, KNOWN_IMAGES } from './debian.ts';
import { guestProgramsReader } from './guest-programs.ts';
import type { KernelImage } from './image.ts';
import { withLock } from './lock.ts';
import { blobsOf, imageDigest, isImageName, type Manifest, parseManifest } from './manifest.ts';
import { ModuleTrees, treesOf } from './module-tree.ts';
import type { ImageInfo } from './requests.ts';

export type Progress = (line: string) => void;

export interface ImageStoreOptions {
  /** Default: the user's cache directory. */
  cache?: string;
  /** Reads the programs that every guest gets. */
  readPrograms?: () => Promise<GuestPrograms>;
  /** Gets the kernel behind one of KNOWN_IMAGES. */
  fetch?: (
    name: (typeof KNOWN_IMAGES)[number],
    scratch: string,
    progress: Progress,
    signal?: AbortSignal,
  ) => Promise<KernelSource>;
  now?: () => Date;
}

export class ImageStore {
  readonly #directory: string;
  readonly #blobs: BlobStore;
  readonly #initramfs: InitramfsCache;
  readonly #trees: ModuleTrees;
  readonly #options: Required<Omit<ImageStoreOptions, 'cache'>>;

  constructor(options: ImageStoreOptions = {}) {
    const cache = options.cache ?? cacheDirectory();
    this.#directory = join(cache, 'images');
    this.#blobs = new BlobStore(this.#directory);
    this.#initramfs = new InitramfsCache(this.#directory, this.#blobs);
    this.#trees = new ModuleTrees(this.#directory);
    this.#options = {
      readPrograms: options.readPrograms ?? guestProgramsReader(cache),
      now: options.now ?? (() => new Date()),
      fetch:
        options.fetch ??
        ((name, scratch, progress, signal) => {
          const directory = join(cache, 'apt');
          const apt = new Apt({ directory, root: process.getuid?.() === 0, progress, signal, confined: true });
          return fetchKernel(name, { apt, scratch, progress });
        }),
    };
  }

  /** All images, sorted by name. */
  async list(): Promise<ImageInfo[]> {
    const manifests = await this.#manifests();
    const fingerprint = manifests.length === 0 ? '' : await this.#fingerprint();
    return manifests.map((manifest) => summarize(manifest, fingerprint));
  }

  /**
   * The image of that name, ready to boot.
   * Throws `not-found` naming the images there are, `unavailable` when our programs are not built.
   */
  async resolve(name: string): Promise<KernelImage> {
    const manifest = await this.#manifest(name);
    const programs = await this.#options.readPrograms();
    const digest = imageDigest(manifest, programsFingerprint(programs));
    if (!(await this.#blobs.has(manifest.kernel))) throw damaged(name, 'its kernel is missing from the store');
    const initramfs = await this.#initramfs.get(digest, manifest, programs).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? damaged(name, 'a module is missing from the store') : error;
    });
    const { kind, version } = manifest;
    const kernel = this.#blobs.path(manifest.kernel.sha256);
    const moduleTree = this.#trees.find(manifest.tree);
    return { name, digest, kind, version, kernel, initramfs, modules: modulePaths(manifest), moduleTree };
  }

  /**
   * Gets one of the distribution's kernels, or its newest version.
   * Throws `not-found` for a name that cannot be pulled, `unavailable` when the package sources lack it.
   */
  async pull(name: string, progress: Progress = () => {}, signal?: AbortSignal): Promise<ImageInfo> {
    const known = KNOWN_IMAGES.find((candidate) => candidate === name);
    if (known === undefined) {
      throw new PolykernelError('not-found', `there is no image ${name} to pull${suggest(name, KNOWN_IMAGES)}`, {
        field: 'image',
        value: name,
        hint: `Images to pull: ${KNOWN_IMAGES.join(', ')}. A kernel of your own: \`pk image import FILE --name NAME\`.`,
      });
    }
    return this.#change(progress, signal, async () => {
      const source = await this.#options.fetch(known, await this.#blobs.scratch(), progress, signal);
      return this.#add(name, source, progress, signal);
    });
  }

  /**
   * Takes in a kernel of the user's own: a bzImage, a vmlinux or a linux.uml.
   * Throws `invalid` or `not-found` with the reason, `conflict` when the name is another image's.
   */
  async import(
    request: { name: string; kernel: string; modules?: string | undefined },
    progress: Progress = () => {},
    signal?: AbortSignal,
  ): Promise<ImageInfo> {
    const { name } = request;
    if (!isImageName(name)) {
      throw new PolykernelError('invalid', `${JSON.stringify(name)} is not a name for an image`, {
        field: '--name',
        value: name,
        hint: 'Use lower-case letters, digits, dots, dashes and at most one colon inside, such as `mine:6.12`.',
      });
    }
    if (name.startsWith('debian:')) {
      throw new PolykernelError('invalid', `the name ${name} is kept for images that are pulled`, {
        field: '--name',
        value: name,
        hint: 'Choose a name that does not begin with `debian:`.',
      });
    }
    const modules = request.modules === undefined ? undefined : resolvePath(request.modules);
    const kernel = resolvePath(request.kernel);
    await answersAll([kernel, ...(modules === undefined ? [] : [modules])]);
    return this.#change(progress, signal, async () => {
      if (existsSync(this.#manifestPath(name))) {
        throw new PolykernelError('conflict', `there is an image ${name} already`, {
          field: '--name',
          value: name,
          hint: `Choose another name, or remove it with \`pk image rm ${name}\`.`,
        });
      }
      return this.#add(name, { kernel, modules, source: kernel }, progress, signal);
    });
  }

  /**
   * Removes an image and what only it needed.
   * @param users names of the instances that use the image; any refuses the removal with `conflict`.
   */
  async remove(
    name: string,
    users: (name: string) => readonly string[] | Promise<readonly string[]> = () => [],
  ): Promise<void> {
    await this.#change(
      () => {},
      undefined,
      async () => {
        if (!isImageName(name) || !existsSync(this.#manifestPath(name))) throw await this.#unknown(name);
        const using = await users(name);
        if (using.length > 0) {
          throw new PolykernelError('conflict', `the image ${name} is in use by ${using.join(', ')}`, {
            field: 'image',
            value: name,
            hint: `Remove them first: pk rm ${using.join(' ')}`,
          });
        }
        await rm(this.#manifestPath(name));
        const left = await this.#manifests();
        await this.#blobs.collect(new Set(left.flatMap(blobsOf)));
        await this.#trees.collect(treesOf(left));
        const fingerprint = await this.#fingerprint();
        await this.#initramfs.collect(new Set(left.map((manifest) => imageDigest(manifest, fingerprint))));
      },
    );
  }

  async #change<T>(progress: Progress, signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
    const onWait = () => progress('waiting for another process to finish with the image store');
    const guarded = async () => {
      await this.#blobs.clean();
      return action().finally(() => this.#blobs.clean());
    };
    return withLock(join(this.#directory, 'lock'), guarded, { onWait, signal });
  }

  async #add(name: string, source: KernelSource, progress: Progress, signal?: AbortSignal): Promise<ImageInfo> {
    const content = await ingestApart({ source, directory: this.#directory }, { progress, signal });
    const createdAt = this.#options.now().toISOString();
    const manifest: Manifest = { format: 1, name, ...content, source: source.source, createdAt };
    const temporary = await this.#blobs.scratch();
    const file = await open(temporary, 'wx');
    await file.writeFile(`${JSON.stringify(manifest, null, 2)}\n`).finally(() => file.close());
    await mkdir(join(this.#directory, 'names'), { recursive: true });
    await commitFile(temporary, this.#manifestPath(name));
    return summarize(manifest, await this.#fingerprint());
  }

  async #manifest(name: string): Promise<Manifest> {
    const text = isImageName(name)
      ? await readFile(this.#manifestPath(name), 'utf8').catch(() => undefined)
      : undefined;
    if (text === undefined) throw await this.#unknown(name);
    const manifest = parseManifest(text);
    if (manifest === undefined) throw damaged(name, `${this.#manifestPath(name)} cannot be read`);
    return manifest;
  }

  async #unknown(name: string): Promise<PolykernelError> {
    const names = (await this.#manifests()).map((manifest) => manifest.name);
    const isKnown = (KNOWN_IMAGES as readonly string[]).includes(name);
    const meant = isKnown ? '' : suggest(name, [...names, ...KNOWN_IMAGES]);
    const pull = isKnown
      ? `Get it with \`pk image pull ${name}\`.`
      : 'Get one with `pk image pull debian:uml` or `pk image import`.';
    return new PolykernelError('not-found', `there is no image ${name} here${meant}`, {
      field: 'image',
      value: name,
      hint: `${pull} Images here: ${names.join(', ') || 'none'}.`,
    });
  }

  /** Sound manifests in the order of their names; damaged ones are left to resolve() to complain of. */
  async #manifests(): Promise<Manifest[]> {
    const directory = join(this.#directory, 'names');
    const files = (await readdir(directory).catch(() => [])).filter((file) => file.endsWith('.json')).sort();
    const texts = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8').catch(() => '')));
    return texts.map(parseManifest).filter((manifest) => manifest !== undefined);
  }

  #manifestPath(name: string): string {
    return join(this.#directory, 'names', `${name}.json`);
  }

  /** Empty where our programs are not built: listing must work all the same. */
  async #fingerprint(): Promise<string> {
    return this.#options.readPrograms().then(programsFingerprint, () => '');
  }
}

function summarize(manifest: Manifest, fingerprint: string): ImageInfo {
  const { name, kind, version, source, createdAt, kernel, modules, tree } = manifest;
  const sizeBytes = modules.reduce((sum, module) => sum + module.size, kernel.size + (tree?.size ?? 0));
  return { name, kind, version, digest: imageDigest(manifest, fingerprint), sizeBytes, source, createdAt };
}

/** Asked before the lock is taken, which is everybody's: rejects with `unavailable` where a file system does not answer. */
async function answersAll(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const file = await openPatiently(path, 1).catch((error: NodeJS.ErrnoException) => {
      // What else is wrong with it is said by who reads it.
      if (error instanceof PolykernelError) throw error;
      return undefined;
    });
    if (file !== undefined) await closePatiently(path, file.fd);
  }
}

function suggest(name: string, names: readonly string[]): string {
  const match = closest(name, names);
  return match === undefined ? '' : ` (did you mean ${match}?)`;
}

function damaged(name: string, reason: string): PolykernelError {
  return new PolykernelError('internal', `the image ${name} is damaged: ${reason}`, {
    field: 'image',
    value: name,
    hint: `Remove it with \`pk image rm ${name}\` and pull or import it again.`,
  });
}
