import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { markedText, plainJson, plainLine, plainText } from './text.ts';

/** What a terminal, or the eye, could be fooled by. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]/u;
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  // Lone surrogates as well.
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
  fc
    .array(
      fc.constantFrom('\x1b', '[', ']', '0;', 'm', '\x9b', '\x07', '\u202e', '\u200b', 'a', '\n', '\t', '\r', '\x7f'),
    )
    .map((parts) => parts.join('')),
);

describe('plain text', () => {
  it.each([
    ['letters of all scripts', 'Grüße, 日本語, عربي, 👍 = 1\tx\n', 'Grüße, 日本語, عربي, 👍 = 1\tx\n'],
    ['colours and titles', 'a\x1b[31mred\x1b[0m\x1b]0;title\x07b\x1b]8;;http://x\x1b\\link', 'aredblink'],
    ['a screen that is cleared', '\x1b[2J\x1b[1;1H\x1bcroot#', 'root#'],
    ['other strings of a terminal', '\x1bP1$r\x1b\\a\x1b_x\x1b\\b\x1b^y\x1b\\c\x9d0;t\x9cd', 'abcd'],
    ['8-bit controls', 'a\x9b31mb\x85c\x90d\x9c', 'abc'],
    ['controls', 'a\0b\x07c\bd\re\x7ff\x0bg', 'abcdefg'],
    ['directions', 'exe.\u202egpj\u202c \u2066x\u2069 \u200e\u200f\u061c', 'exe.gpj x '],
    ['what has no width', 'pay\u200bpal\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\ufe0f', 'paypal'],
    ['fillers and tags', 'a\u3164\u115f\u1160\uffa0\u{e0041}\u{e007f}b', 'ab'],
    ['half surrogates', 'a\ud800b\udc00c', 'abc'],
    ['private use and no characters', 'a\ue000\u{f0000}\uffff\ufdd0b', 'ab'],
    ['line and paragraph separators', 'a\u2028b\u2029c', 'abc'],
    ['an escape at the end', 'a\x1b', 'a'],
    ['an escape cut short', 'a\x1b[31', 'a31'],
  ])('shows %s as they are, or not at all', (_what, text, shown) => {
    expect(plainText(text)).toBe(shown);
  });

  it('is never more than visible characters, tabs and line feeds, and stays as it is', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const plain = plainText(text);
        expect(HIDDEN.test(plain.replaceAll(/[\t\n]/g, ''))).toBe(false);
        expect(plainText(plain)).toBe(plain);
        expect(HIDDEN.test(plainLine(text))).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it('is cut before it is looked at, and says so', () => {
    expect(plainText('abcdef', 3)).toBe('abc […]');
    expect(plainText('abc', 3)).toBe('abc');
    expect(plainText(`${'👍'.repeat(2)}`, 3)).toBe('👍 […]');
  });
});

it('JSON means the same with all that is hidden written as escapes', () => {
  fc.assert(
    fc.property(fc.jsonValue(), anyText, (value, text) => {
      const json = JSON.stringify({ value, [text]: text }, null, 2);
      const plain = plainJson(json);
      expect(HIDDEN.test(plain.replaceAll('\n', ''))).toBe(false);
      expect(JSON.parse(plain)).toEqual(JSON.parse(json));
    }),
  );
});

it('our own colours stay, and nothing else that controls a terminal', () => {
  const own = '\x1b[H\x1b[J\x1b[31mred\x1b[0m\n';
  expect(markedText(own)).toBe(own);
  expect(markedText('\x1b]0;title\x07a\x1b[2Jb\u202ec\x1b[5nd')).toBe(']0;titlea[2Jbc[5nd');
  // Within a text it is somebody else's.
  expect(markedText('name\x1b[H\x1b[J\x1b[K')).toBe('name[H[J[K');
});
