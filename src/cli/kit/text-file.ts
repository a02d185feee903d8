/** Text of a file that the user named: it may be that of a disk, or of an endless pipe. */
import { isUtf8 } from 'node:buffer';
import { PolykernelError } from '../../sys/errors.ts';

const MOST_BYTES = 1_048_576;

/** All of `stream`, which is `file`, as `field` gave it. Throws `invalid` above 1 MiB and for what is no UTF-8, and what the stream throws. */
export async function readText(stream: AsyncIterable<Buffer>, file: string, field: string): Promise<string> {
  const invalid = (reason: string, hint: string) =>
    new PolykernelError('invalid', `${file} ${reason}`, { field, value: file, hint });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw invalid('is larger than 1 MiB', 'Give a text file.');
  }
  const all = Buffer.concat(chunks);
  if (!isUtf8(all)) throw invalid('is not UTF-8 text', 'Give a text file, saved as UTF-8.');
  return all.toString('utf8').replace(/^\uFEFF/, '');
}
