/** The part of set-up that runs once Node is there: packages, native programs, kernel images. See scripts/setup.sh. */
import { ImageStore } from '../../src/image/contract.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { cacheDirectory } from '../../src/sys/paths.ts';
import { CACHE, takePlace } from '../../src/sys/places.ts';
import { fillCompileCache } from './compile-cache.ts';
import { buildNative } from './native.ts';
import { ensurePackages, ensureTestPackages } from './packages.ts';

const IMAGES = ['debian:uml', 'debian:amd64'];

const options = new Set(process.argv.slice(2));
const stop = new AbortController();
process.once('SIGINT', () => stop.abort(new Error('interrupted')));
process.once('SIGTERM', () => stop.abort(new Error('terminated')));

const began = performance.now();
let worked = false;
const progress = (line: string) => {
  worked = true;
  if (!options.has('--quiet')) console.error(`setup: ${line}`);
};

try {
  takePlace(cacheDirectory(), CACHE);
  await ensurePackages(cacheDirectory(), progress, stop.signal);
  if (options.has('--tests')) await ensureTestPackages(cacheDirectory(), progress, stop.signal);
  await buildNative(cacheDirectory(), progress, stop.signal);
  await fillCompileCache(cacheDirectory(), progress, stop.signal);
  if (!options.has('--skip-images')) await ensureImages();
  const took = `${((performance.now() - began) / 1000).toFixed(1)} s`;
  if (!options.has('--quiet')) console.error(worked ? `setup: ready (${took})` : 'setup: everything is in place');
} catch (error) {
  process.exitCode = stop.signal.aborted ? 130 : 1;
  console.error(`setup: ${(error as Error).message}`);
  if (error instanceof PolykernelError && error.hint !== undefined) console.error(`setup: ${error.hint}`);
  if (!(error instanceof PolykernelError) && !stop.signal.aborted) console.error((error as Error).stack);
}

async function ensureImages(): Promise<void> {
  const store = new ImageStore();
  for (const name of IMAGES) {
    // resolve() also composes the initramfs, so that the first guest does not wait for it.
    const isThere = await store.resolve(name).then(
      // One that an earlier version took in has no modules for what came since, or none for guests to load.
      ({ kind, modules, moduleTree }) =>
        modules[kind === 'uml' ? 'fuse' : 'network'] !== undefined && moduleTree !== undefined,
      (error: PolykernelError) => error.code === 'unavailable' && Promise.reject(error),
    );
    if (isThere) continue;
    await store.pull(name, (line) => progress(`${name}: ${line}`), stop.signal);
    await store.resolve(name);
  }
}
