/** Strings and characters with the escapes of C (6.4). */

/** With both quotes. Line ends may be in it. */
export const STRING = /"(?:[^\\"]|\\[\s\S])*"/y;
export const CHARACTER = /'(?:[^\\']|\\[\s\S])*'/y;

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
