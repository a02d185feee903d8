/** The program of the process that ingest() runs in: see apart.ts, which starts it and ends it. */
import { asPolykernelError } from '../sys/errors.ts';
import { type IngestMessage, parseTask } from './apart.ts';
import { BlobStore } from './blobs.ts';
import { ingest } from './ingest.ts';

const tell = (message: IngestMessage) => process.stdout.write(`${JSON.stringify(message)}\n`);
// Open as long as the one who wants it lives.
process.stdin.resume().once('end', () => process.exit(1));
try {
  const { source, directory } = parseTask(process.argv.at(-1) ?? '');
  const content = await ingest(source, new BlobStore(directory), (line) => tell({ kind: 'progress', line }));
  tell({ kind: 'content', content });
} catch (error) {
  tell({ kind: 'error', body: asPolykernelError(error, 'taking the kernel in').toJSON() });
}
process.stdin.destroy();
