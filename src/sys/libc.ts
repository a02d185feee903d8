/** The C library of this process: the only door to koffi, which is loaded by the first use, because it costs 30 ms of start-up. */
import { createRequire } from 'node:module';

type Koffi = typeof import('koffi');
export type Libc = Pick<Koffi, 'errno' | 'view'> & Pick<ReturnType<Koffi['load']>, 'func'>;

let loaded: Libc | undefined;

/** Throws where koffi is not installed for this machine. */
export function libc(): Libc {
  if (loaded !== undefined) return loaded;
  const { load, errno, view }: Koffi = createRequire(import.meta.url)('koffi');
  const library = load(null);
  loaded = { func: library.func.bind(library) as Libc['func'], errno, view };
  return loaded;
}
