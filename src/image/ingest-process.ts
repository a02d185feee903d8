/** The program of the process that ingest() runs in: see apart.ts, which starts it and ends it. */
import { asPolykernelError } from '../sys/errors.ts';
import { ownArguments } from '../sys/node.ts';
import { type IngestMessage, parseTask } from './apart.ts';
import { BlobStore } from './blobs.ts';
import { ingest } from './ingest.ts';
import { ModuleTrees } from './module-tree.ts';

const tell = (message: IngestMessage) => process.stdout.write(`${JSON.stringify(message)}\n`);
// Told to end, or left alone, it ends its tools first: one that has only just been started would outlive it.
const stop = new AbortController();
const end = () => stop.abort(new Error('it is no longer wanted'));
process.once('SIGTERM', end);
process.stdin.resume().once('end', end);
try {
  const { source, directory } = parseTask(ownArguments()[0] ?? '');
  // What guests see of it, other users of theirs see too.
  process.umask(0o022);
  const store = { blobs: new BlobStore(directory), trees: new ModuleTrees(directory) };
  const content = await ingest(source, store, (line) => tell({ kind: 'progress', line }), stop.signal);
  tell({ kind: 'content', content });
} catch (error) {
  tell({ kind: 'error', body: asPolykernelError(error, 'taking the kernel in').toJSON() });
}
process.stdin.destroy();
