/** Templates of `--format`, a part of Go's text/template, filled with values. Pure. */
import { closest } from '../../sys/closest.ts';
import { entriesOf, goText, isTruth } from './go-text.ts';
import { functions } from './template-functions.ts';
import {
  type Call,
  type Operand,
  type Pipeline,
  parseTemplate,
  type TemplateNode,
  templateError,
} from './template-parse.ts';

/** What the dot is at first: named values, and behind them all that the daemon says. */
export interface View {
  /** By names as docker has them; functions are methods (`.Label "x"`). */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Reached by its own names where no field has them. */
  readonly raw: object;
}

interface Scope {
  dot: unknown;
  variables: ReadonlyMap<string, unknown>;
}

/** Throws `invalid`, also where the template is used, for what it names and there is not. */
export function compileTemplate(text: string): (view: View) => string {
  const nodes = parseTemplate(text);
  return (view) => render(nodes, { dot: view, variables: new Map([['$', view]]) });
}

/** The head of a table made with this template: its text, with titles in the places of values. */
export const headOf = (text: string): string =>
  parseTemplate(text)
    .map((node) => (node.kind === 'text' ? node.text : 'pipeline' in node ? titleOf(node.pipeline) : ''))
    .join('');

function titleOf(pipeline: Pipeline): string {
  const field = pipeline.flat().find((operand) => operand.kind === 'field');
  const literal = pipeline.flat().find((operand) => operand.kind === 'literal');
  const name = field?.path.at(-1) ?? '';
  // `.Label "team"` is the column of that label.
  const shown = /^Label$/.test(name) && typeof literal?.value === 'string' ? literal.value : name;
  return shown.replace(/([a-z])([A-Z])/g, '$1 $2').toUpperCase();
}

function render(nodes: readonly TemplateNode[], outer: Scope): string {
  let scope = outer;
  let result = '';
  for (const node of nodes) {
    switch (node.kind) {
      case 'text':
        result += node.text;
        break;
      case 'print':
        result += goText(plain(evaluate(node.pipeline, scope)));
        break;
      case 'set':
        scope = { ...scope, variables: new Map([...scope.variables, [node.name, evaluate(node.pipeline, scope)]]) };
        break;
      case 'if':
      case 'with': {
        const value = evaluate(node.pipeline, scope);
        const named =
          node.name === undefined ? scope : { ...scope, variables: new Map([...scope.variables, [node.name, value]]) };
        const inner = node.kind === 'with' ? { ...named, dot: value } : named;
        result += isTrue(value) ? render(node.body, inner) : render(node.otherwise, named);
        break;
      }
      case 'range':
        result += renderRange(node, scope);
        break;
    }
  }
  return result;
}

function renderRange(node: Extract<TemplateNode, { kind: 'range' }>, scope: Scope): string {
  const value = plain(evaluate(node.pipeline, scope));
  const entries = typeof value === 'object' && value !== null ? entriesOf(value) : [];
  if (entries.length === 0) return render(node.otherwise, scope);
  return entries
    .map(([key, item]) => {
      const variables = new Map(scope.variables);
      if (node.key !== undefined) variables.set(node.key, key);
      if (node.item !== undefined) variables.set(node.item, item);
      return render(node.body, { dot: item, variables });
    })
    .join('');
}

function evaluate(pipeline: Pipeline, scope: Scope): unknown {
  return pipeline.reduce<unknown[]>((last, call) => [callOf(call, last, scope)], [])[0];
}

function callOf([first, ...others]: Call, last: readonly unknown[], scope: Scope): unknown {
  const args = () => [...others.map((operand) => operandOf(operand, scope)), ...last].map(plain);
  if (first!.kind === 'function') {
    const { name } = first!;
    if (Object.hasOwn(functions, name)) return functions[name]!(...args());
    const guess = closest(name, Object.keys(functions));
    throw templateError(
      `there is no function ${name}`,
      guess
        ? `Did you mean ${guess}?`
        : `There is ${Object.keys(functions).join(', ')}. Fields begin with a dot: .${name}.`,
    );
  }
  const value = operandOf(first!, scope);
  if (typeof value === 'function') return (value as (...all: unknown[]) => unknown)(...args());
  if (others.length + last.length > 0) throw templateError(`${shown(first!)} takes no argument`);
  return value;
}

function operandOf(operand: Operand, scope: Scope): unknown {
  switch (operand.kind) {
    case 'literal':
      return operand.value;
    case 'function':
      return callOf([operand], [], scope);
    case 'pipeline':
      return follow(evaluate(operand.pipeline, scope), operand.path, operand);
    case 'field': {
      const { variable, path } = operand;
      if (variable === undefined) return follow(scope.dot, path, operand);
      if (!scope.variables.has(variable)) throw templateError(`there is no variable ${variable}`);
      return follow(scope.variables.get(variable), path, operand);
    }
  }
}

const isView = (value: unknown): value is View =>
  typeof value === 'object' && value !== null && 'fields' in value && 'raw' in value;
/** A whole view is its fields without the methods. */
const plain = (value: unknown): unknown =>
  isView(value)
    ? Object.fromEntries(Object.entries(value.fields).filter(([, each]) => typeof each !== 'function'))
    : value;

/** What is not there of a map is nothing, as in Go; of the view itself it is an error. */
function follow(from: unknown, path: readonly string[], operand: Operand): unknown {
  let value = from;
  for (const name of path) {
    if (isView(value)) value = fieldOf(value, name);
    else if (value === null || value === undefined) return undefined;
    else if (typeof value !== 'object')
      throw templateError(`${shown(operand)}: there is no .${name} in ${JSON.stringify(value)}`);
    else value = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  }
  return value;
}

function fieldOf({ fields, raw }: View, name: string): unknown {
  if (Object.hasOwn(fields, name)) return fields[name];
  if (Object.hasOwn(raw, name)) return (raw as Record<string, unknown>)[name];
  const named = Object.keys(fields);
  const names = named.length > 0 ? named : Object.keys(raw);
  const guess = names.find((each) => each.toLowerCase() === name.toLowerCase()) ?? closest(name, names);
  throw templateError(
    `there is no field .${name}`,
    `${guess ? `Did you mean .${guess}? ` : ''}There is .${names.join(', .')}.`,
  );
}

const shown = (operand: Operand): string =>
  operand.kind === 'field' ? `${operand.variable ?? ''}.${operand.path.join('.')}` : 'this value';

const isTrue = (value: unknown): boolean => isView(value) || isTruth(value);
