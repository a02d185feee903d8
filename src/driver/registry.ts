/**
 * The drivers, by name: adding one is its folder and its line here. Nobody else knows a name; words of `--driver`, of stack
 * files and of the API come from here.
 */
import type { Driver } from './driver.ts';

/** Those of the product, in the order in which they are offered. */
const PRODUCT: Readonly<Record<string, () => Promise<Driver>>> = {
  uml: async () => new (await import('./uml/driver.ts')).UmlDriver(),
  qemu: async () => new (await import('./qemu/driver.ts')).QemuDriver(),
  multikernel: async () => new (await import('./multikernel/driver.ts')).MultikernelDriver(),
};

/** In a daemon with POLYKERNEL_FAKE=1, for tests and benches; in no list of words but that daemon's own. */
const MODEL: typeof PRODUCT = {
  fake: async () => new (await import('./fake/driver.ts')).FakeDriver(),
};

/** For which `pk image prewarm` builds templates unless told otherwise. */
export const TEMPLATE_DRIVER = 'qemu';

const names = Object.keys(PRODUCT);
const words: [string, ...string[]] = ['auto', ...names];
/** What a kernel's driver may be called. Live: see admitDriver(). */
export const driverNames: readonly string[] = names;
/** What may be asked for: the same, and `auto`. */
export const driverWords: readonly [string, ...string[]] = words;

/** Takes a driver's name for a word from now on, in this process: one that a daemon was given. */
export function admitDriver(name: string): void {
  if (names.includes(name)) return;
  names.push(name);
  words.push(name);
}

/** The product's drivers, or with POLYKERNEL_FAKE=1 in `env` the model of one. */
export async function loadDrivers(env: NodeJS.ProcessEnv): Promise<Driver[]> {
  return Promise.all(Object.values(env.POLYKERNEL_FAKE === '1' ? MODEL : PRODUCT).map((load) => load()));
}
