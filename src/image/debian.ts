/** Gets the distribution's own kernels through apt. They are unpacked, never installed: this machine's boot stays as is. */
import { existsSync, lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Apt } from '../sys/apt.ts';
import { PolykernelError } from '../sys/errors.ts';
import { run } from '../sys/process.ts';
import { unpackedDirectory } from '../sys/tools.ts';

/** A kernel as it lies on disk before it enters the store. */
export interface KernelSource {
  kernel: string;
  /** Directory with its modules; undefined if it has none. */
  modules: string | undefined;
  /** For people: package and version, or path. */
  source: string;
}

/** Images that `pull` knows, with the driver each is for. */
export const KNOWN_IMAGES = ['debian:uml', 'debian:amd64'] as const;

/** The newest kernel's package by distribution: Debian's, then Ubuntu's. Each depends on one with a version. */
const META_PACKAGES = ['linux-image-amd64', 'linux-image-generic'];
/** Packages among the dependencies that hold a part of the kernel. */
const KERNEL_PART = /^linux-(?:image|binary|modules|modules-extra)-(?:unsigned-)?\d/;
const UML_PACKAGE = 'user-mode-linux';
const UML_PROGRAM = 'usr/bin/linux.uml';
const UML_MODULES = 'usr/lib/uml/modules';

export interface FetchContext {
  apt: Apt;
  /** Empty directory for what is unpacked. */
  scratch: string;
  /** Roots below which packages may have been installed or unpacked. */
  roots?: readonly string[];
  progress: (line: string) => void;
}

/** Fetches the kernel behind a known name. Throws `unavailable` when the package sources do not offer it. */
export async function fetchKernel(name: (typeof KNOWN_IMAGES)[number], context: FetchContext): Promise<KernelSource> {
  return name === 'debian:uml' ? fetchUml(context) : fetchAmd64(context);
}

async function fetchUml(context: FetchContext): Promise<KernelSource> {
  const { apt, scratch, roots = ['/', unpackedDirectory()], progress } = context;
  const present = roots.find((root) => statSync(join(root, UML_PROGRAM), { throwIfNoEntry: false })?.isFile());
  if (present !== undefined) {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills it in
    const query = await run(['dpkg-query', '-W', '-f', '${Version}', UML_PACKAGE]);
    return umlIn(present, `${UML_PACKAGE} ${(query.code === 0 && query.stdout.trim()) || '(unpacked)'}`);
  }
  const [found] = await apt.offered([UML_PACKAGE]);
  if (found === undefined) throw notOffered([UML_PACKAGE]);
  progress(`downloading ${found}`);
  const [file] = await apt.unpack([found], scratch);
  return umlIn(scratch, describe(file ?? found));
}

/** `NAME_VERSION_ARCH`, as apt names files, as `NAME VERSION`. */
function describe(file: string): string {
  return decodeURIComponent(file).split('_').slice(0, 2).join(' ');
}

function umlIn(root: string, source: string): KernelSource {
  const modules = join(root, UML_MODULES);
  return { kernel: join(root, UML_PROGRAM), modules: existsSync(modules) ? modules : undefined, source };
}

async function fetchAmd64({ apt, scratch, progress }: FetchContext): Promise<KernelSource> {
  const [meta] = await apt.offered(META_PACKAGES);
  if (meta === undefined) throw notOffered(META_PACKAGES);
  const parts = new Set<string>();
  const follow = async (name: string): Promise<void> => {
    for (const dependency of await apt.depends(name)) {
      if (!KERNEL_PART.test(dependency) || parts.has(dependency)) continue;
      parts.add(dependency);
      await follow(dependency);
    }
  };
  await follow(meta);
  const image = [...parts].find((name) => name.startsWith('linux-image-'));
  if (image === undefined) throw notOffered([meta]);
  progress(`downloading ${[...parts].join(', ')}`);
  const files = await apt.unpack([...parts], scratch);
  const file = files.find((name) => name.startsWith(`${image}_`)) ?? image;
  const boot = join(scratch, 'boot');
  // A file of the package itself: a link could lead to one of the host.
  const inside = lstatSync(boot, { throwIfNoEntry: false })?.isDirectory();
  const entries = inside ? readdirSync(boot, { withFileTypes: true }) : [];
  const kernel = entries.find((entry) => entry.isFile() && entry.name.startsWith('vmlinuz-'))?.name;
  if (!kernel) throw new PolykernelError('internal', `the package ${image} holds no /boot/vmlinuz`);
  const modules = ['lib/modules', 'usr/lib/modules'].map((path) => join(scratch, path)).find(existsSync);
  return { kernel: join(boot, kernel), modules, source: describe(file) };
}

function notOffered(names: readonly string[]): PolykernelError {
  const list = names.join(' or ');
  return new PolykernelError('unavailable', `no package source of this machine offers ${list}`, {
    hint: `Check /etc/apt/sources.list and run \`apt-get update\`; \`apt-cache policy ${names[0]}\` shows what is offered.`,
  });
}
