/** The stack file a command was given. */
import { closeSync, createReadStream } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type Problem, parseStack, problemsError, type Stack, type StackSource } from '../../stack/contract.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { openRegular, readerOf } from '../../sys/read-at.ts';
import { plainText } from '../../sys/text.ts';
import type { Invocation } from '../kit/command.ts';
import { readText } from '../kit/text-file.ts';
import { parseEnvFile } from './env-file.ts';
import { openUnnamed } from './unnamed-file.ts';

const DEFAULT_FILE = 'polykernel.yaml';
const DEVICE_TREE_MAGIC = Buffer.from('d00dfeed', 'hex');
const MOST_BLOB_BYTES = 2 ** 20;
/** Columns of a line shown with a problem. */
const EXCERPT = 120;

export interface StackFile {
  source: StackSource;
  stack: Stack;
}

/** Reads and checks what the options name. Prints every problem to standard error, then throws `invalid`. */
export async function loadStack(invocation: Invocation): Promise<StackFile> {
  const source = await givenSource(invocation);
  const { stack, problems } = parseStack(source.text, source);
  if (stack !== undefined) return { source, stack };
  process.stderr.write(plainText(problemsText(source, problems)));
  const error = problemsError(problems, source.file);
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  throw new PolykernelError('invalid', `${source.file} has ${count}`, { field: error.field });
}

/** The file that --file names, with the values of its variables. Throws as readSource() does. */
export async function givenSource(invocation: Invocation): Promise<StackSource> {
  const [file, input] = [invocation.value('file'), invocation.value('input')];
  if (file !== undefined && input !== undefined)
    throw new PolykernelError('invalid', '--file and --input name the same: give one of them', { field: '--input' });
  const given = file ?? input;
  const source = (await fromBlob(given)) ?? (await withoutTree(await readSource(given)));
  const variables = await readVariables(invocation.values('env-file'), source.directory, process.env);
  return { ...source, variables: mentioned(source.text, variables) };
}

/** What a device tree that was compiled tells of: no text, and read as what it is. Undefined for all else. */
async function fromBlob(file: string | undefined): Promise<StackSource | undefined> {
  if (file === undefined || file === '-' || !isBlob(file)) return undefined;
  const { readRegular } = await import('../../devicetree/index.ts');
  const { decoded } = await import('../devicetree/files.ts');
  const tree = decoded(file, readRegular(file, MOST_BLOB_BYTES));
  const { stackOfTree } = await import('./from-dts.ts');
  const { connect } = await import('../../client/index.ts');
  const { cpus } = await (await connect()).topology();
  const directory = dirname(resolve(file));
  return { text: stackOfTree(tree, file, cpus), file, directory, defaultName: nameOf(directory) };
}

/** What cannot be opened is told of by who reads it as text. */
function isBlob(file: string): boolean {
  try {
    const fd = openRegular(resolve(file));
    if (fd === undefined) return false;
    try {
      return readerOf(fd)(0, 4)?.equals(DEVICE_TREE_MAGIC) === true;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

/** The pool that a device tree tells of is one of this machine: the daemon says which CPU is which. */
async function withoutTree(source: StackSource): Promise<StackSource> {
  if (!source.text.slice(0, 4096).includes('/dts-v1/')) return source;
  const { isDts, stackOfDts } = await import('./from-dts.ts');
  if (!isDts(source.text)) return source;
  const { connect } = await import('../../client/index.ts');
  const { cpus } = await (await connect()).topology();
  return { ...source, text: stackOfDts(source.text, source.file, cpus) };
}

/**
 * What the environment says, and where it says nothing `files`, the last first; without any of these the `.env` beside the stack
 * file, if there is one. Throws `not-found`, `invalid` or `permission` naming the file.
 */
export async function readVariables(
  files: readonly string[],
  directory: string,
  environment: NodeJS.ProcessEnv,
): Promise<Map<string, string>> {
  const outside = new Map(
    Object.entries(environment).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  );
  const found = new Map<string, string>();
  const isNamed = files.length > 0;
  const opened = (file: string) =>
    isNamed
      ? createReadStream(resolve(file))
      : openUnnamed(file, '--env-file', `Write --env-file ${file} if it is to count, else --env-file /dev/null.`);
  for (const file of isNamed ? files : [join(directory, '.env')]) {
    const text = await Promise.try(() => readText(opened(file), file, '--env-file')).catch((error: unknown) => {
      const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (isMissing && !isNamed) return '';
      if (!isMissing) throw asPolykernelError(error, `--env-file: reading ${file}`);
      throw new PolykernelError('not-found', `there is no file ${file}`, { field: '--env-file', value: file });
    });
    const lookup = (name: string) => outside.get(name) ?? found.get(name);
    for (const [name, value] of parseEnvFile(text, file, lookup)) found.set(name, value);
  }
  return new Map([...found, ...outside]);
}

/** Of these no others than the text may mean: the rest of the environment is nobody's business. */
function mentioned(text: string, variables: ReadonlyMap<string, string>): Record<string, string> {
  const names = new Set(Array.from(text.matchAll(/\$\{?([A-Za-z_][A-Za-z0-9_]*)/g), ([, name]) => name!));
  // What `~/` stands for in a path.
  if (text.includes('~')) names.add('HOME');
  return Object.fromEntries([...names].flatMap((name) => (variables.has(name) ? [[name, variables.get(name)!]] : [])));
}

/** `-` is standard input. Throws `not-found`, `invalid` or `permission` naming the file. */
export async function readSource(given?: string): Promise<StackSource> {
  const file = given ?? DEFAULT_FILE;
  const path = resolve(file);
  const isInput = file === '-';
  const shown = isInput ? 'standard input' : file;
  const opened = () => {
    if (isInput) return process.stdin;
    return given === undefined
      ? openUnnamed(path, '--file', `Write -f ${file} if it is meant.`)
      : createReadStream(path);
  };
  const text = await Promise.try(() => readText(opened(), shown, '--file')).catch((error: unknown) => {
    throw readingError(error, shown);
  });
  const directory = isInput ? process.cwd() : dirname(path);
  return { text, file: shown, directory, defaultName: nameOf(directory) };
}

function readingError(error: unknown, file: string): PolykernelError {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return new PolykernelError('not-found', `there is no stack file ${file}`, {
        field: '--file',
        value: file,
        hint: 'Name one with -f, or go to the directory of a polykernel.yaml.',
      });
    case 'EISDIR':
      return invalid(file, 'is a directory', `Name the file in it: -f ${join(file, DEFAULT_FILE)}`);
    default:
      return asPolykernelError(error, `reading ${file}`);
  }
}

const invalid = (file: string, reason: string, hint: string): PolykernelError =>
  new PolykernelError('invalid', `${file} ${reason}`, { field: '--file', value: file, hint });

/** A name of the kind instances have, made of the directory's. */
function nameOf(directory: string): string {
  const name = basename(directory)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '');
  return name === '' ? 'stack' : name;
}

/** Each problem with its place, the line it is in, and what to do. */
export function problemsText(source: StackSource, problems: readonly Problem[]): string {
  const lines = source.text.split(/\r?\n/);
  return problems
    .map(({ path, line, column, message, hint }) => {
      const { excerpt, caret } = excerptOf(lines[line - 1] ?? '', column);
      return [
        `${source.file}:${line}:${column}: ${visible(path === '' ? message : `${path}: ${message}`)}`,
        ...(excerpt.trim() === '' ? [] : [`${String(line).padStart(5)} | ${excerpt}`, `      | ${caret}`]),
        ...(hint === undefined ? [] : [`        ${visible(hint)}`]),
        '',
      ].join('\n');
    })
    .join('');
}

/** The part of a line around a column, and what to print below it so that the caret stands under that column. */
function excerptOf(line: string, column: number): { excerpt: string; caret: string } {
  const start = column <= EXCERPT ? 0 : column - 1 - EXCERPT / 2;
  const before = start === 0 ? '' : '…';
  const after = line.length > start + EXCERPT ? '…' : '';
  const excerpt = visible(`${before}${line.slice(start, start + EXCERPT)}${after}`);
  const indent = excerpt.slice(0, before.length + column - 1 - start).replace(/[^\t]/g, ' ');
  return { excerpt, caret: `${indent}^` };
}

/** Each character that would steer the terminal, or reorder the line, replaced by one that shows. */
const visible = (text: string): string => text.replace(/(?!\t)[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd');
