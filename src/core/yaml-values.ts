/** Values that several options share. Each reader gives undefined after it has told the problem. */
import { parseCpuList } from '../sys/cpu-list.ts';
import { parseBytes, parseDuration } from '../sys/units.ts';
import type { Place, YamlReader } from './yaml-reader.ts';

/** The least page of every machine: what is no multiple of it can never be given. */
export const PAGE_BYTES = 4096;
/** Far above the 1024 nodes that Linux can be built for (MAX_NUMNODES). */
export const MOST_NODE = 65_535;

/** A text that is not empty. */
export function readWord(reader: YamlReader, place: Place, what = 'a text', hint?: string): string | undefined {
  const text = reader.text(place, what, hint);
  return text === '' ? reader.problem(place, 'is empty', hint ?? 'Give it a value, or leave the option out.') : text;
}

export function readCpuList(reader: YamlReader, place: Place): number[] | undefined {
  const hint = 'Write numbers and ranges in one text, such as 2-7,10.';
  const text = reader.text(place, 'a text such as "2-7,10"', hint);
  return text === undefined ? undefined : reader.attempt(place, () => parseCpuList(text), hint);
}

/** Whole pages, above 0. */
export function readSize(reader: YamlReader, place: Place): number | undefined {
  const text = reader.text(place, 'a size', 'Write a number with its unit, such as 512MiB or 2G.');
  const bytes = text === undefined ? undefined : reader.attempt(place, () => parseBytes(text));
  if (bytes === undefined) return undefined;
  if (bytes === 0) return reader.problem(place, 'must be more than 0', 'Give a size such as 256MiB.');
  if (bytes % PAGE_BYTES === 0) return bytes;
  const below = Math.floor(bytes / PAGE_BYTES) * PAGE_BYTES;
  return reader.problem(
    place,
    `${bytes} bytes are not whole pages of ${PAGE_BYTES} bytes`,
    `The nearest sizes are ${below} and ${below + PAGE_BYTES}.`,
  );
}

/** Milliseconds, at least `least` and at most an hour. */
export function readDuration(reader: YamlReader, place: Place, least = 0): number | undefined {
  const text = reader.text(place, 'a duration', 'Write a number with its unit, such as 10s or 1m30s.');
  const milliseconds = text === undefined ? undefined : reader.attempt(place, () => parseDuration(text));
  if (milliseconds === undefined) return undefined;
  if (milliseconds < least) return reader.problem(place, `${text} is too short`, `Give at least ${least} ms.`);
  if (milliseconds > 3_600_000) return reader.problem(place, `${text} is longer than an hour`, 'Give at most 1h.');
  return milliseconds;
}
