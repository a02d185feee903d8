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
import { run } from '../../sys/process.ts';
import { toolPath } from '../../sys/tools.ts';
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

/** For who makes a blob of a source: what dtc's users have their build do. */
export const CPP_OPTION: OptionSpec = {
  help: 'have cpp do what macros and #include say, which also looks where -I says',
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
  const given = path === '-' ? await buffer(process.stdin) : readRegular(path, MOST_BYTES);
  const bytes = invocation.flag('cpp') ? await preprocessed(path, given, invocation.values('include')) : given;
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

/** By the C preprocessor, as kernels do it; its line directives keep errors at their places. Rejects with `invalid` or `unavailable`. */
async function preprocessed(path: string, source: Uint8Array, include: readonly string[]): Promise<Buffer> {
  const directories = [path === '-' ? '.' : dirname(path), ...include];
  const words = [
    '-nostdinc',
    '-undef',
    '-D__DTS__',
    '-x',
    'assembler-with-cpp',
    ...directories.flatMap((at) => ['-I', at]),
  ];
  const cpp = toolPath('cpp');
  const { code, signal, stdoutBytes, stderr } = await run(
    [cpp.path, ...words, path.startsWith('-') && path !== '-' ? `./${path}` : path, '-'],
    {
      input: path === '-' ? source : '',
      env: cpp.env,
      maxOutputBytes: MOST_BYTES,
    },
  );
  if (code === 0 && stdoutBytes.length < MOST_BYTES) return stdoutBytes;
  const reason = code === 0 ? `cpp makes more than ${MOST_BYTES / 2 ** 20} MiB of it` : stderr.trim();
  throw new PolykernelError('invalid', `${path}: ${reason || `cpp ended by ${signal ?? code}`}`, {
    field: 'SOURCE',
    value: path,
    hint: 'Mend what cpp says; -I DIR says where it finds files.',
  });
}

/** The tree of a blob. Throws `invalid` naming `path`. */
export function decoded(path: string, bytes: Uint8Array): DeviceTree {
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
