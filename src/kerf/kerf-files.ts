/** What kerf writes down besides the host kernel: what it has loaded into which instance, and that it is at work. */
import { lstatSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PolykernelError } from '../sys/errors.ts';
import type { KerfImage } from './types.ts';

export interface KerfFiles {
  /** A file NAME.json per instance that has something loaded. */
  instances: string;
  /** Each is there while kerf changes something, and stays behind when it is killed. */
  locks: readonly string[];
}

export const KERF_FILES: KerfFiles = {
  instances: '/var/lib/kerf/instances',
  locks: ['/var/run/kerf.lock', '/tmp/kerf.lock'],
};

/** It is a few hundred bytes. */
const MOST_BYTES = 256 * 1024;
const MOST_TEXT = 4096;

/** Empty when kerf says nothing of that instance, or nothing that can be read: what runs in it is not known then. */
export function readImage({ instances }: KerfFiles, name: string): KerfImage {
  const path = join(instances, `${name}.json`);
  try {
    if (statSync(path).size > MOST_BYTES) return {};
    return imageOf(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return {};
  }
}

function imageOf(found: unknown): KerfImage {
  const words = (...path: string[]): string | undefined => {
    let at = found;
    for (const key of path) {
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
      at = at[key as keyof typeof at];
    }
    return typeof at === 'string' && at.length > 0 && at.length <= MOST_TEXT ? at : undefined;
  };
  const said = {
    kernel: words('kernel', 'path'),
    version: words('kernel', 'version'),
    sha256: words('kernel', 'sha256'),
    // A string in earlier versions.
    initrd: words('initrd') ?? words('initrd', 'path'),
    root: words('rootfs', 'image') ?? words('rootfs', 'path'),
    loadedAt: words('loaded_at'),
  };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
}

/** As kerf does it when it unloads and deletes. */
export const removeImage = ({ instances }: KerfFiles, name: string): void =>
  rmSync(join(instances, `${name}.json`), { force: true });

/** Throws `conflict` while kerf is at work, or seems to be. */
export function checkIdle({ locks }: KerfFiles): void {
  const lock = locks.find(isOfKerf);
  if (lock === undefined) return;
  throw new PolykernelError('conflict', `kerf is changing something (${lock} is there)`, {
    field: 'kerf',
    value: lock,
    hint: 'Try again once it is done. One that was killed leaves the file behind: remove it when no kerf runs.',
  });
}

/** kerf runs as root. In /tmp everybody can make a file of that name, which would be there for good. */
function isOfKerf(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found !== undefined && (found.uid === 0 || found.uid === process.getuid?.());
}
