/** Expressions in parentheses (6.4): those of C, on unsigned numbers of 64 bits. */
import { LIMITS, tooMany } from '../limits.ts';
import type { Scanner } from './scanner.ts';

type Binary = (left: bigint, right: bigint) => bigint;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const truth = (value: boolean): bigint => (value ? 1n : 0n);

/** With how strongly each binds. */
const OPERATORS: ReadonlyMap<string, readonly [number, Binary]> = new Map<string, readonly [number, Binary]>([
  ['||', [0, (a, b) => truth(a !== 0n || b !== 0n)]],
  ['&&', [1, (a, b) => truth(a !== 0n && b !== 0n)]],
  ['|', [2, (a, b) => a | b]],
  ['^', [3, (a, b) => a ^ b]],
  ['&', [4, (a, b) => a & b]],
  ['==', [5, (a, b) => truth(a === b)]],
  ['!=', [5, (a, b) => truth(a !== b)]],
  ['<', [6, (a, b) => truth(a < b)]],
  ['>', [6, (a, b) => truth(a > b)]],
  ['<=', [6, (a, b) => truth(a <= b)]],
  ['>=', [6, (a, b) => truth(a >= b)]],
  ['<<', [7, (a, b) => (b < 64n ? u64(a << b) : 0n)]],
  ['>>', [7, (a, b) => (b < 64n ? a >> b : 0n)]],
  ['+', [8, (a, b) => u64(a + b)]],
  ['-', [8, (a, b) => u64(a - b)]],
  ['*', [9, (a, b) => u64(a * b)]],
  ['/', [9, (a, b) => a / b]],
  ['%', [9, (a, b) => a % b]],
]);

/** Operators by their longest form, so that `<` is not seen in `<<`, nor `&` in `&&`. */
const OPERATOR = /\|\||&&|<<|>>|<=|>=|==|!=|[|^&<>+\-*/%]/y;

/** A number, a character, or an expression in parentheses. Undefined when none is next. */
export function readInteger(scanner: Scanner, depth = 0): number | bigint | undefined {
  const code = scanner.skip();
  if (code !== 0x28) return scanner.literal() ?? scanner.character();
  if (depth > LIMITS.expressionDepth) scanner.fail(tooMany('expressionDepth'));
  scanner.at++;
  const value = conditional(scanner, depth + 1);
  scanner.expect(')', 'at the end of an expression');
  return value;
}

/** `a ? b : c`; both sides are read, one counts. */
function conditional(scanner: Scanner, depth: number): bigint {
  if (depth > LIMITS.expressionDepth) scanner.fail(tooMany('expressionDepth'));
  const condition = binary(scanner, 0, depth);
  if (!scanner.take('?')) return condition;
  const yes = conditional(scanner, depth + 1);
  scanner.expect(':', 'in a condition');
  const no = conditional(scanner, depth + 1);
  return condition === 0n ? no : yes;
}

/** Operations that bind at least as strongly as `least`; those that bind alike from left to right. */
function binary(scanner: Scanner, least: number, depth: number): bigint {
  let left = unary(scanner, depth);
  for (;;) {
    const word = scanner.peek(OPERATOR);
    const [strength, operation] = (word === undefined ? undefined : OPERATORS.get(word)) ?? NONE;
    if (strength < least) return left;
    const { place } = scanner;
    scanner.at += word!.length;
    const right = binary(scanner, strength + 1, depth);
    if (right === 0n && (word === '/' || word === '%')) scanner.fail('division by zero', place);
    left = operation(left, right);
  }
}

const NONE: readonly [number, Binary] = [-1, (left) => left];

function unary(scanner: Scanner, depth: number): bigint {
  if (depth > LIMITS.expressionDepth) scanner.fail(tooMany('expressionDepth'));
  if (scanner.take('-')) return u64(-unary(scanner, depth + 1));
  if (scanner.take('~')) return u64(~unary(scanner, depth + 1));
  if (scanner.take('!')) return truth(unary(scanner, depth + 1) === 0n);
  const value = readInteger(scanner, depth + 1);
  if (value === undefined) scanner.fail(`a number is missing; here is ${scanner.found()}`);
  return BigInt(value);
}
