/** Classes of characters, by their code, as the lexer of dtc has them. */
const BLANK = 1;
const NAME = 2;
const LABEL_START = 4;
const LABEL = 8;
const PATH = 16;

const CLASSES = new Uint8Array(256);
const mark = (characters: string, classes: number) => {
  for (const character of characters) CLASSES[character.charCodeAt(0)]! |= classes;
};
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
mark(' \t\n\v\f\r', BLANK);
mark(LETTERS, NAME | LABEL_START | LABEL | PATH);
mark('_', NAME | LABEL_START | LABEL | PATH);
mark('0123456789', NAME | LABEL | PATH);
mark(',.+*#?@-', NAME | PATH);
mark('/', PATH);

// The end of a text, NaN as a code, is in no class: an index that is not there.
export const isBlank = (code: number): boolean => ((CLASSES[code] ?? 0) & BLANK) !== 0;
/** Of a node's or property's name (2.2.1, 2.2.4.1). */
export const isName = (code: number): boolean => ((CLASSES[code] ?? 0) & NAME) !== 0;
/** First of a label (6.2). */
export const isLabelStart = (code: number): boolean => ((CLASSES[code] ?? 0) & LABEL_START) !== 0;
export const isLabel = (code: number): boolean => ((CLASSES[code] ?? 0) & LABEL) !== 0;
/** Of a path in `&{…}`. */
export const isPath = (code: number): boolean => ((CLASSES[code] ?? 0) & PATH) !== 0;

/** Value of a hexadecimal digit; -1 for what is none. */
export function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
