/** What a kernel says of itself for who reads its memory (VMCOREINFO): a page of lines `NAME=VALUE`. */
import { type Dump, PAGE } from './dump.ts';

const FIRST = Buffer.from('OSRELEASE=');

/** Undefined where no page of the dump has them. */
export function kernelFacts(dump: Dump): ReadonlyMap<string, string> | undefined {
  for (const place of dump.pages()) {
    const page = dump.page(place);
    if (page === undefined || page.indexOf(FIRST) !== 0) continue;
    const facts = parseFacts(page.toString('latin1'));
    if (facts.has('SYMBOL(prb)') || facts.has('PAGESIZE')) return facts;
  }
  return undefined;
}

/** Up to the first NUL. */
export function parseFacts(text: string): ReadonlyMap<string, string> {
  const end = text.indexOf('\0');
  const lines = text.slice(0, end < 0 ? PAGE : end).split('\n');
  return new Map(
    lines.flatMap((line) => {
      const at = line.indexOf('=');
      return at > 0 ? [[line.slice(0, at), line.slice(at + 1)] as const] : [];
    }),
  );
}
