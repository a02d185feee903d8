/** An earlier version of Polykernel, made from a stored copy of its source: what it left running is taken over by this one. */
import { cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../src/sys/command.ts';
import { cacheDirectory } from '../../src/sys/paths.ts';
import { toolPath } from '../../src/sys/tools.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface OldVersion {
  /** Its `bin/pk`. */
  pk: string;
  /** Its own cache: its programs, not this checkout's, and this machine's kernels. */
  cache: string;
}

/** Unpacks and builds the version below test/fixtures into the empty `directory`. */
export async function installOldVersion(name: string, directory: string): Promise<OldVersion> {
  const [tree, cache] = [join(directory, 'tree'), join(directory, 'cache')];
  for (const path of [tree, cache]) await mkdir(path, { mode: 0o755 });
  const archive = join(ROOT, 'test/fixtures', name, 'source.tar.xz');
  const { path: xz, env } = toolPath('xz');
  await runCommand(['tar', '-x', '-f', archive, `--use-compress-program=${xz}`, '-C', tree], {
    env: { ...process.env, ...env },
  });
  await symlink(join(ROOT, 'node_modules'), join(tree, 'node_modules'), 'dir');
  for (const part of ['debian', 'images'])
    await cp(join(cacheDirectory(), part), join(cache, part), { recursive: true, verbatimSymlinks: true }).catch(
      (error: NodeJS.ErrnoException) => {
        // Nothing had to be unpacked on this machine.
        if (error.code !== 'ENOENT') throw error;
      },
    );
  const build = `
    import { buildNative } from ${JSON.stringify(join(tree, 'scripts/setup/native.ts'))};
    await buildNative(${JSON.stringify(cache)}, () => {}, new AbortController().signal);`;
  await runCommand([process.execPath, '--input-type=module', '--eval', build], {
    env: { ...process.env, POLYKERNEL_CACHE: cache },
  });
  return { pk: join(tree, 'bin/pk'), cache };
}
