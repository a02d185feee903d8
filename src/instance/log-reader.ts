/** Reading logs back: the last lines, from a time on, and what is still to come. */
import { StringDecoder } from 'node:string_decoder';
import { type Following, readBlocks } from './log-file.ts';
import type { LogLine } from './log-line.ts';
import type { LogQuery } from './requests.ts';
import type { FileLog } from './workload-log.ts';

/** Longer than any record that is written: what goes on for longer is damaged, and left out. */
const MAX_RECORD_BYTES = 1024 * 1024;
const LINE_FEED = 10;

/** The records of a workload's log, oldest first. */
export async function* readLog(
  log: FileLog,
  query: LogQuery,
  following: Following,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const { path } = log.file;
  const since = query.since === undefined ? '' : new Date(query.since).toISOString();
  let toSkip = 0;
  if (query.tail !== undefined) {
    let isOpen = false;
    for await (const record of records(readBlocks({ path }, signal), since)) {
      toSkip += linesIn(record);
      isOpen = !endsLine(record);
    }
    // A last line without its end is one.
    toSkip = Math.max(0, toSkip + (isOpen ? 1 : 0) - query.tail);
  }
  const reading = { path, following: query.follow === true ? following : undefined };
  for await (const record of records(readBlocks(reading, signal), since)) {
    if (toSkip === 0) {
      yield record;
      continue;
    }
    const lines = linesIn(record);
    if (lines <= toSkip) toSkip -= lines;
    else {
      yield withoutFirstLines(record, toSkip);
      toSkip = 0;
    }
  }
}

/** A console log, which the kernel's host process writes, as raw pieces; the last one ends a line. */
export async function* readConsole(
  path: string,
  query: LogQuery,
  following: Following,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const decoder = new StringDecoder('utf8');
  let last = '';
  const piece = (d: string): LogLine => {
    last = d;
    return { t: '', s: 'out', d };
  };
  const reading = { path, tail: query.tail, following: query.follow === true ? following : undefined };
  for await (const block of readBlocks(reading, signal)) {
    const text = decoder.write(block);
    if (text !== '') yield piece(text);
  }
  const rest = decoder.end();
  if (rest !== '') yield piece(rest);
  if (last !== '' && !last.endsWith('\n')) yield piece('\n');
}

/** The records from `since` on. What cannot be read was cut off by a crash or a full disk. */
async function* records(blocks: AsyncIterable<Buffer>, since: string): AsyncGenerator<LogLine> {
  let parts: Buffer[] = [];
  let bytes = 0;
  for await (const block of blocks) {
    let from = 0;
    for (let end = block.indexOf(LINE_FEED); end >= 0; end = block.indexOf(LINE_FEED, from)) {
      parts.push(block.subarray(from, end));
      const record = bytes > MAX_RECORD_BYTES ? undefined : parse(Buffer.concat(parts).toString('utf8'));
      parts = [];
      bytes = 0;
      from = end + 1;
      if (record !== undefined && record.t >= since) yield record;
    }
    if (from === block.length) continue;
    bytes += block.length - from;
    if (bytes <= MAX_RECORD_BYTES) parts.push(block.subarray(from));
    else parts = [];
  }
  const record = bytes === 0 || bytes > MAX_RECORD_BYTES ? undefined : parse(Buffer.concat(parts).toString('utf8'));
  if (record !== undefined && record.t >= since) yield record;
}

function parse(text: string): LogLine | undefined {
  try {
    const record = JSON.parse(text) as LogLine;
    const isText = (value: unknown) => value === undefined || typeof value === 'string';
    return typeof record.t === 'string' && isText(record.d) && isText(record.b) ? record : undefined;
  } catch {
    return undefined;
  }
}

/** Lines that end in a record; output that is no text counts as one. */
function linesIn(record: LogLine): number {
  if (record.d === undefined) return 1;
  let count = 0;
  for (let at = record.d.indexOf('\n'); at >= 0; at = record.d.indexOf('\n', at + 1)) count += 1;
  return count;
}

const endsLine = ({ d }: LogLine): boolean => d === undefined || d.endsWith('\n');

function withoutFirstLines(record: LogLine, lines: number): LogLine {
  if (record.d === undefined) return record;
  let at = 0;
  for (let left = lines; left > 0; left--) at = record.d.indexOf('\n', at) + 1;
  return { ...record, d: record.d.slice(at) };
}
