/** Whether a program prints what a document says: numbers are those of another day, `…` stands for anything. */

/** Null if it does, else what is not as it says. A line of `…` alone stands for any lines, further ones too. */
export function difference(shown: readonly string[], printed: string): string | null {
  const real = printed.trimEnd().split('\n');
  const fits = (at: number, row: number): boolean => {
    if (at === shown.length) return row === real.length;
    if (shown[at] === '…') return range(row, real.length).some((next) => fits(at + 1, next));
    return row < real.length && pattern(shown[at]!).test(real[row]!) && fits(at + 1, row + 1);
  };
  if (fits(0, 0)) return null;
  return `the document says:\n${indented(shown)}\nit printed:\n${indented(real)}`;
}

const NUMBER = /\d+(?:[.,]\d+)*/;

function pattern(line: string): RegExp {
  // A number alone is what the example is about.
  if (/^\d+$/.test(line.trim())) return new RegExp(`^\\s*${line.trim()}\\s*$`);
  const parts = line.trim().split(/(…|\s+|\d+(?:[.,]\d+)*)/);
  const source = parts.map((part) => {
    if (part === '…') return '.*';
    if (/^\s+$/.test(part)) return '\\s+';
    return NUMBER.test(part) ? NUMBER.source : RegExp.escape(part);
  });
  return new RegExp(`^\\s*${source.join('')}\\s*$`);
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const indented = (lines: readonly string[]) => lines.map((line) => `    ${line}`).join('\n');
