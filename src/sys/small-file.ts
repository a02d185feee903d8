/** Files of /proc and the like, read many times a second: three system calls instead of the five of readFileSync. */
import { closeSync, openSync, readSync } from 'node:fs';

const buffer = Buffer.allocUnsafeSlow(4096);

/** The first 4096 bytes, as latin1; undefined when it cannot be read. Not for files that come in several reads. */
export function readSmallFile(path: string): string | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    return buffer.toString('latin1', 0, readSync(file, buffer));
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
