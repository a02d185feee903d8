/** The program of the process that reads a kernel's memory: see dump.ts, which starts it and ends it. */
import { pipeline } from 'node:stream/promises';
import { asPolykernelError } from '../../sys/errors.ts';
import { ownArguments } from '../../sys/node.ts';
import { type CoreTask, readCore } from './read-core.ts';

// Left alone, it ends: nobody takes what it reads.
process.stdin.resume().once('end', () => process.exit(1));
try {
  await pipeline(await readCore(JSON.parse(ownArguments()[0] ?? '') as CoreTask), process.stdout);
  process.exit(0);
} catch (error) {
  process.stderr.write(`${asPolykernelError(error, "reading a kernel's memory").message}\n`);
  process.exit(1);
}
