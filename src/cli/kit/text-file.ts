/** Text of a file that the user named: it may be that of a disk, or of an endless pipe. */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { formatBytes } from '../../sys/units.ts';

const MOST_BYTES = 1_048_576;
/** Of what machines wrote: a dump of 5,000 PCI functions, a million lines of a trace. */
const MOST_LARGE_BYTES = 64 * 2 ** 20;

/** All of `stream`, which is `file`, as `field` gave it. Throws `invalid` above 1 MiB and for what is no UTF-8, and what the stream throws. */
export async function readText(stream: AsyncIterable<Buffer>, file: string, field: string): Promise<string> {
  const invalid = (reason: string, hint: string) =>
    new PolykernelError('invalid', `${file} ${reason}`, { field, value: file, hint });
  const all = await gather(stream, MOST_BYTES, invalid);
  if (!isUtf8(all)) throw invalid('is not UTF-8 text', 'Give a text file, saved as UTF-8.');
  return all.toString('utf8').replace(/^\uFEFF/, '');
}

/** What a machine wrote into the file `path`, which `option` names. Rejects with `not-found`, `invalid` for a directory and above 64 MiB, and as reading does. */
export async function readLarge(path: string, option: string, encoding: 'utf8' | 'latin1' = 'utf8'): Promise<string> {
  const invalid = (reason: string, hint: string) =>
    new PolykernelError('invalid', `${option}: ${path} ${reason}`, { field: option, value: path, hint });
  try {
    return (await gather(createReadStream(path), MOST_LARGE_BYTES, invalid)).toString(encoding);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EISDIR') throw invalid('is a directory', 'Name a file in it.');
    if (code !== 'ENOENT') throw asPolykernelError(error, `${option}: reading ${path}`);
    const detail = { field: option, value: path, hint: 'Give the path of a file that is there.' };
    throw new PolykernelError('not-found', `${option}: there is no file ${path}`, detail);
  }
}

async function gather(
  stream: AsyncIterable<Buffer>,
  most: number,
  invalid: (reason: string, hint: string) => PolykernelError,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > most) throw invalid(`is larger than ${formatBytes(most)}`, 'Give a text file.');
  }
  return Buffer.concat(chunks);
}
