/** Breaks `text` at spaces and after commas into lines of at most `width` columns; lines after the first are indented. */
export function wrap(text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  const lead = /^ */.exec(text)![0];
  let line = lead;
  let isFresh = true;
  for (const piece of text.slice(lead.length).match(/[^\s,]*(?:,\s*|\s+|$)/g) ?? []) {
    if (!isFresh && line.length + piece.trimEnd().length > width) {
      lines.push(line.trimEnd());
      line = ' '.repeat(indent);
    }
    line += piece;
    isFresh = false;
  }
  return [...lines, line.trimEnd()];
}
