/** Strings and characters with the escapes of C (6.4). */

const BACKSLASH = 0x5c;

/**
 * Where a string or character ends that begins with its quote at `at`: after the other quote, or -1. Line ends may be in it. A pattern
 * takes room on the engine's stack for each character, of which there may be 16 million.
 */
export function endOfQuoted(text: string, at: number): number {
  const quote = text.charCodeAt(at);
  for (let next = at + 1; next < text.length; next++) {
    const code = text.charCodeAt(next);
    if (code === quote) return next + 1;
    if (code === BACKSLASH) next++;
  }
  return -1;
}

const SINGLE: Readonly<Record<string, string>> = { a: '\x07', b: '\b', t: '\t', n: '\n', v: '\v', f: '\f', r: '\r' };
const ESCAPE = /\\(x[0-9a-fA-F]{0,2}|[0-7]{1,3}|[\s\S])/g;

/** `raw` with its escapes resolved; `refuse` is told the offset of an escape that is none. */
export function unescaped(raw: string, refuse: (offset: number, problem: string) => never): string {
  if (!raw.includes('\\')) return raw;
  return raw.replace(ESCAPE, (_, code: string, offset: number) => {
    if (code === 'x') refuse(offset, '\\x without a hexadecimal digit');
    if (code[0] === 'x') return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8) & 255);
    return SINGLE[code] ?? code;
  });
}
