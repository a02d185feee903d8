/** The programs of ours that every guest gets: read again only when one of their files has changed. */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { GuestPrograms } from '../guest/index.ts';
import { nativeBinary } from '../sys/paths.ts';

/** A function that gives the same object as long as the files below `cache` are the same. Throws `unavailable` for one not built. */
export function guestProgramsReader(cache: string | undefined): () => Promise<GuestPrograms> {
  let last: { version: string; programs: GuestPrograms } | undefined;
  return async () => {
    const files = (['pk-init', 'pk-ring', 'pk-share', 'pk-modprobe'] as const).map((name) => nativeBinary(name, cache));
    const version = files.map(versionOf).join('\n');
    if (last?.version === version) return last.programs;
    const [init, ring, share, modprobe] = await Promise.all(files.map((file) => readFile(file)));
    const tools = { 'pk-ring': ring!, 'pk-share': share!, 'pk-modprobe': modprobe! };
    const programs = { init: init!, tools };
    last = { version, programs };
    return programs;
  };
}

/** Another one after each change of a file, in place as well. */
function versionOf(file: string): string {
  const { dev, ino, size, ctimeNs } = statSync(file, { bigint: true });
  return [dev, ino, size, ctimeNs].join(' ');
}
