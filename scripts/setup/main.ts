/** The part of set-up that runs once Node is there: packages, native programs, kernel images. See scripts/setup.sh. */
import { join } from 'node:path';
import { ImageStore } from '../../src/image/contract.ts';
import { fetchKernel } from '../../src/image/debian.ts';
import { Apt } from '../../src/sys/apt.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { cacheDirectory } from '../../src/sys/paths.ts';
import { CACHE, takePlace } from '../../src/sys/places.ts';
import { fillCompileCache } from './compile-cache.ts';
import { buildNative } from './native.ts';
import { ensurePackages, ensureTestPackages } from './packages.ts';
import { Times } from './times.ts';

const IMAGES = ['debian:uml', 'debian:amd64'];

const options = new Set(process.argv.slice(2));
const stop = new AbortController();
process.once('SIGINT', () => stop.abort(new Error('interrupted')));
process.once('SIGTERM', () => stop.abort(new Error('terminated')));

const times = new Times(process.env.SETUP_TIMES);
let worked = false;
const progress = (line: string) => {
  worked = true;
  if (!options.has('--quiet')) console.error(`setup: ${line}`);
};

try {
  const cache = cacheDirectory();
  takePlace(cache, CACHE);
  await times.of('downloads', () => ensurePackages(cache, progress, stop.signal));
  if (options.has('--tests')) await times.of('downloads', () => ensureTestPackages(cache, progress, stop.signal));
  await times.of('compiles', () => buildNative(cache, progress, stop.signal));
  // Images are waited for (downloads, disk) while the sources are compiled.
  await together(
    (signal) => times.of('compiles', () => fillCompileCache(cache, progress, signal)),
    async (signal) => options.has('--skip-images') || ensureImages(cache, signal),
  );
  if (!options.has('--quiet')) console.error(worked ? `setup: ready (${times})` : 'setup: everything is in place');
} catch (error) {
  process.exitCode = stop.signal.aborted ? 130 : 1;
  console.error(`setup: ${(error as Error).message}`);
  if (error instanceof PolykernelError && error.hint !== undefined) console.error(`setup: ${error.hint}`);
  if (!(error instanceof PolykernelError) && !stop.signal.aborted) console.error((error as Error).stack);
}

/** Side by side; where one fails the other ends too, and the first failure is thrown. */
async function together(...parts: ((signal: AbortSignal) => Promise<unknown>)[]): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([stop.signal, failed.signal]);
  const running = parts.map((part) => part(signal));
  for (const each of running) each.catch((error) => failed.abort(error));
  await Promise.allSettled(running);
  await Promise.all(running);
  signal.throwIfAborted();
}

async function ensureImages(cache: string, stopping: AbortSignal): Promise<void> {
  const store = new ImageStore({
    fetch(name, scratch, progress, signal) {
      const root = process.getuid?.() === 0;
      const apt = new Apt({ directory: join(cache, 'apt'), root, progress, signal, confined: true });
      return times.of('downloads', () => fetchKernel(name, { apt, scratch, progress }));
    },
  });
  for (const name of IMAGES) {
    // resolve() also composes the initramfs, so that the first guest does not wait for it.
    const isThere = await store.resolve(name).then(
      // One that an earlier version took in has no modules for what came since, or none for guests to load.
      ({ kind, modules, moduleTree }) =>
        modules[kind === 'uml' ? 'fuse' : 'watchdog'] !== undefined && moduleTree !== undefined,
      (error: PolykernelError) => error.code === 'unavailable' && Promise.reject(error),
    );
    if (isThere) continue;
    await store.pull(name, (line) => progress(`${name}: ${line}`), stopping);
    await store.resolve(name);
  }
}
