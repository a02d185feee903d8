/** Another machine, as `--host` names it. */
import { stat } from 'node:fs/promises';
import { asPolykernelError, PolykernelError, readAt } from '../../sys/errors.ts';
import { parseTopology, readTopology, type Topology } from '../../topology/index.ts';
import { readLarge } from '../kit/text-file.ts';

/** From a directory with its sys/ and proc/, or a file with its topology as JSON. Throws `not-found` and `invalid`. */
export async function readHost(path: string): Promise<Topology> {
  const found = await stat(path).catch((error) => {
    throw asPolykernelError(error, `--host: reading ${path}`);
  });
  if (found.isDirectory()) return readTopology(path);
  const text = await readLarge(path, '--host');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new PolykernelError('invalid', `--host: ${path} is not JSON: ${(error as Error).message}`, {
      field: '--host',
      value: path,
      hint: 'Give a directory with sys/ and proc/, or a file written by `pk topology --json`.',
    });
  }
  return readAt('--host', () => parseTopology(json));
}
