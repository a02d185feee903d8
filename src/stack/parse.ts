/** From the text of a stack file to a Stack, or to every problem in it. */
import { checkName } from '../core/name.ts';
import { type Problem, YamlReader } from '../core/yaml-reader.ts';
import type { StackContext } from '../instance/contract.ts';
import { readKernels } from '../instance/stack.ts';
import { readPool } from '../pool/stack.ts';
import { PolykernelError } from '../sys/errors.ts';
import { checkTogether } from './check.ts';
import { insteadOf } from './compose-keys.ts';
import { keysOf } from './options.ts';
import { readSections } from './sections.ts';
import type { Stack } from './stack.ts';

export type ParsedStack = { stack: Stack; problems: readonly [] } | { stack: undefined; problems: readonly Problem[] };

/** Never throws: whatever is wrong is among the problems, in the order of the file, each with its place. */
export function parseStack(text: string, context: StackContext): ParsedStack {
  const { variables = {} } = context;
  const reader = new YamlReader(
    text,
    (name) => (Object.hasOwn(variables, name) ? variables[name] : undefined),
    insteadOf,
  );
  const stack = readStack(reader, context);
  if (stack !== undefined) checkTogether(stack, reader);
  if (stack !== undefined && reader.problems.length === 0) return { stack, problems: [] };
  return { stack: undefined, problems: reader.report() };
}

/** The problems as one error, for callers that show only one. */
export function problemsError(problems: readonly Problem[], file: string): PolykernelError {
  const [
    { path, line, column, message, hint } = { path: '', line: 1, column: 1, message: 'unreadable', hint: undefined },
  ] = problems;
  const rest = problems.length > 1 ? ` (and ${problems.length - 1} more problems)` : '';
  return new PolykernelError(
    'invalid',
    `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}${rest}`,
    {
      field: path,
      hint: hint ?? `See all with \`pk validate -f ${file}\`.`,
    },
  );
}

function readStack(reader: YamlReader, context: StackContext): Stack | undefined {
  const top = reader.top();
  const entries = top && reader.map(top, keysOf(''));
  if (top === undefined || entries === undefined) return undefined;
  const name = entries.get('name');
  const given = name && reader.text(name);
  if (name !== undefined && given !== undefined) reader.attempt(name, () => checkName(given));
  const pool = entries.get('pool');
  const kernels = readKernels(reader, top, entries.get('kernels'), context, pool !== undefined);
  return {
    name: given ?? context.defaultName,
    pool: pool === undefined ? null : (readPool(reader, pool) ?? null),
    kernels,
    ...readSections(reader, entries, kernels),
  };
}
