/** Device trees in files: sources or blobs, told apart by how they begin. */
import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { buffer } from 'node:stream/consumers';
import {
  type DeviceTree,
  decode,
  filesBelow,
  type ParseOptions,
  parseDts,
  readRegular,
} from '../../devicetree/index.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';
import { written } from '../kit/output.ts';

export const TREE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  include: {
    short: 'I',
    value: 'DIR',
    multiple: true,
    complete: 'file',
    help: 'where /include/ and /incbin/ also look, besides the directory of the source',
  },
  symbols: { help: 'with /__symbols__, which overlays need of the tree they are for (dtc -@)' },
  aliases: { help: 'with an alias for every label (dtc -A)' },
};

export const OUTPUT_OPTION: OptionSpec = {
  short: 'o',
  value: 'FILE',
  complete: 'file',
  help: 'where to write it (default standard output)',
};

const MOST_BYTES = 64 * 2 ** 20;
const MAGIC = Buffer.from('d00dfeed', 'hex');

/** Reads `path`, or with `-` standard input. Files that a source names have to be below its directory, or those of -I. */
export async function readTree(path: string, invocation: Invocation, more: ParseOptions = {}): Promise<DeviceTree> {
  const bytes = path === '-' ? await buffer(process.stdin) : readRegular(path, MOST_BYTES);
  if (Buffer.compare(bytes.subarray(0, 4), MAGIC) === 0) return decoded(path, bytes);
  const directories = [path === '-' ? '.' : dirname(path), ...invocation.values('include')];
  return parseDts(bytes, {
    file: path === '-' ? '<stdin>' : path,
    files: filesBelow(directories),
    symbols: invocation.flag('symbols'),
    aliases: invocation.flag('aliases'),
    ...more,
  });
}

function decoded(path: string, bytes: Uint8Array): DeviceTree {
  try {
    return decode(bytes);
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    const { code, message, field, value, hint } = error;
    throw new PolykernelError(code, `${path}: ${message}`, { field, value, hint, cause: error });
  }
}

/** Writes to -o, else to standard output. A terminal gets no blobs. */
export async function write(invocation: Invocation, content: string | Uint8Array): Promise<void> {
  const path = invocation.value('output');
  if (path !== undefined && path !== '-') {
    await writeFile(path, content).catch((error) => {
      throw asPolykernelError(error, `writing ${path}`);
    });
    return;
  }
  if (typeof content !== 'string' && process.stdout.isTTY)
    throw new PolykernelError('invalid', 'a blob is nothing for a terminal', {
      field: '--output',
      hint: 'Give a file, -o FILE, or send it through a pipe.',
    });
  await written(typeof content === 'string' ? Buffer.from(content) : content);
}
