// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are what is tested.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasVariables, interpolate, VariableProblem } from './interpolate.ts';

const VARIABLES: Readonly<Record<string, string>> = { A: 'a', B: 'b', EMPTY: '', MONEY: '$A ${A}', _x1: 'under' };
const fill = (text: string) =>
  interpolate(text, (name) => (Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined), 1000);

it.each([
  ['$A', 'a'],
  ['${A}', 'a'],
  ['x$A-${B}y', 'xa-by'],
  ['$_x1.', 'under.'],
  ['$A$B', 'ab'],
  ['$EMPTY|${EMPTY}', '|'],
  ['$$A $${A} $$$A', '$A ${A} $a'],
  ['100$$', '100$'],
  ['${A:-x}${NO:-x}${EMPTY:-x}', 'axx'],
  ['${A-x}${NO-x}${EMPTY-x}', 'ax'],
  ['${A:+x}${NO:+x}${EMPTY:+x}', 'x'],
  ['${A+x}${NO+x}${EMPTY+x}', 'xx'],
  ['${A:?no}${A?no}${EMPTY?no}', 'aa'],
  ['${NO:-}', ''],
  ['${NO:-${NONE:-${A}-$B}}', 'a-b'],
  ['${NO-$A}${NO:-x-${B:+y}}', 'ax-y'],
  ['${NO:-a:b/c?d}', 'a:b/c?d'],
  ['${NO:-$$}', '$'],
  ['${A:-${UNSET}}', 'a'],
  ['${A:-${UNSET:?never}}', 'a'],
  ['plain } text {', 'plain } text {'],
  // What a variable holds is not read again.
  ['$MONEY', '$A ${A}'],
])('%j becomes %j', (text, result) => {
  expect(fill(text)).toBe(result);
});

it.each([
  ['$NO', 0, /NO is not set/],
  ['x ${NO}', 2, /NO is not set/],
  ['x ${NO:?give one}', 2, /NO is not set: give one/],
  ['${NO?}', 0, /NO is not set$/],
  ['${EMPTY:?say $A}', 0, /EMPTY is empty: say a/],
  ['${NO:-x$NONE}', 7, /NONE is not set/],
  ['cost 5$', 6, /\$ is not followed by a name/],
  ['$5', 0, /not followed by a name/],
  ['a $(date)', 2, /not followed by a name/],
  ['${}', 0, /\$\{ is not followed by a name/],
  ['${1}', 0, /not followed by a name/],
  ['${A', 0, /A has no end/],
  ['${A:-x', 0, /A has no end/],
  ['${A:x}', 0, /A goes on with ":"/],
  ['${A!x}', 0, /A goes on with "!"/],
  ['${A }', 0, /goes on with " "/],
  [`${'${NO:-'.repeat(20)}x${'}'.repeat(20)}`, 96, /nested too deeply/],
])('%j is refused at %i', (text, at, message) => {
  const problem = problemOf(text);
  expect(problem?.at).toBe(at);
  expect(problem?.message).toMatch(message);
  expect(problem?.hint).not.toBe('');
});

function problemOf(text: string): VariableProblem | undefined {
  try {
    fill(text);
  } catch (error) {
    if (error instanceof VariableProblem) return error;
    throw error;
  }
  return undefined;
}

describe('whatever the text', () => {
  const texts = fc.array(fc.constantFrom('$', '{', '}', ':', '-', '?', '+', 'A', 'NO', ' ', '$$', '${A}'), {
    maxLength: 30,
  });

  it('it becomes a text or is refused at a place within', () => {
    fc.assert(
      fc.property(texts, (pieces) => {
        const text = pieces.join('');
        const problem = problemOf(text);
        if (problem !== undefined) expect(text[problem.at]).toBe('$');
      }),
    );
  });

  it('it is as long as it may be, and no longer', () => {
    const long = 'x'.repeat(600);
    const twice = () => interpolate('$L$L', () => long, 1000);
    expect(twice).toThrow(/too long/);
    expect(interpolate('$L', () => long, 1000)).toBe(long);
  });

  it('doubling its dollars keeps it as it is', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const escaped = text.replaceAll('$', '$$$$');
        expect(hasVariables(escaped)).toBe(false);
        expect(interpolate(escaped, () => undefined, 1000)).toBe(text);
      }),
    );
  });
});
