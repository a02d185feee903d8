/** The stack file a command was given. */
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import type { StackSource } from '../api/index.ts';
import { type Problem, parseStack, problemsError, type Stack } from '../stack/index.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';

const DEFAULT_FILE = 'polykernel.yaml';

export interface StackFile {
  source: StackSource;
  stack: Stack;
}

/** Reads and checks it. Prints every problem to standard error, then throws `invalid`. */
export async function loadStack(file = DEFAULT_FILE): Promise<StackFile> {
  const source = await readSource(file);
  const { stack, problems } = parseStack(source.text, source);
  if (stack !== undefined) return { source, stack };
  process.stderr.write(problemsText(source, problems));
  const error = problemsError(problems, source.file);
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  throw new PolykernelError('invalid', `${source.file} has ${count}`, { field: error.field });
}

/** `-` is standard input. Throws `not-found`, `invalid` or `permission` naming the file. */
export async function readSource(file = DEFAULT_FILE): Promise<StackSource> {
  const path = resolve(file);
  const isInput = file === '-';
  const content = await (isInput ? text(process.stdin) : readFile(path, 'utf8')).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw asPolykernelError(error, `reading ${file}`);
      throw new PolykernelError('not-found', `there is no stack file ${file}`, {
        field: '--file',
        value: file,
        hint: 'Name one with -f, or go to the directory of a polykernel.yaml.',
      });
    },
  );
  const directory = isInput ? process.cwd() : dirname(path);
  return { text: content, file: isInput ? 'standard input' : file, directory, defaultName: nameOf(directory) };
}

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
      const excerpt = (lines[line - 1] ?? '').slice(0, 200);
      const caret = `${excerpt.slice(0, column - 1).replace(/[^\t]/g, ' ')}^`;
      const number = String(line).padStart(5);
      return [
        `${source.file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}`,
        ...(excerpt.trim() === '' ? [] : [`${number} | ${excerpt}`, `      | ${caret}`]),
        ...(hint === undefined ? [] : [`        ${hint}`]),
        '',
      ].join('\n');
    })
    .join('');
}
