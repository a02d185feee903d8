/** Another checkout of this version, to be upgraded to: a copy of its source, with what was installed for this one. */
import { cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

export async function copyCheckout(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  for (const part of ['bin', 'src', 'package.json'])
    await cp(join(ROOT, part), join(directory, part), { recursive: true });
  for (const part of ['node_modules', 'scripts']) await symlink(join(ROOT, part), join(directory, part), 'dir');
  return directory;
}
