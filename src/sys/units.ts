/** Sizes and durations as people write them. Sizes are powers of 1024 throughout; nothing is guessed or rounded. */
import { PolykernelError } from './errors.ts';

const KIB = 1024;
const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: KIB,
  kib: KIB,
  m: KIB ** 2,
  mib: KIB ** 2,
  g: KIB ** 3,
  gib: KIB ** 3,
  t: KIB ** 4,
  tib: KIB ** 4,
};

/**
 * Bytes from `512M`, `1GiB`, `64k`, `1.5G` or a plain number of bytes. Units are powers of 1024, in either case.
 * Decimal units (`MB`) are refused rather than silently taken for another size.
 * Throws `invalid` naming `field` and the value.
 */
export function parseBytes(text: string | number, field = 'size'): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?)\s?([a-z]{0,3})$/i.exec(String(text).trim());
  const unit = match === null ? undefined : SIZE_UNITS[match[2]!.toLowerCase()];
  const bytes = match === null || unit === undefined ? Number.NaN : Number(match[1]) * unit;
  if (!Number.isSafeInteger(bytes)) {
    throw new PolykernelError('invalid', `${field}: ${JSON.stringify(text)} is not a size`, {
      field,
      value: text,
      hint: 'Write a whole number of bytes or a number with k, M, G or T (powers of 1024), such as 512M or 1.5GiB.',
    });
  }
  return bytes;
}

/** `512 MiB`, `1.5 GiB`, `0 B`: at most one decimal, for people. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let index = 0;
  // 1023.95 would be shown as 1024.0: go to the next unit before that.
  while (Math.abs(value) >= 1023.95 && index < units.length - 1) {
    value /= KIB;
    index += 1;
  }
  const rounded = index === 0 ? Math.round(value) : Math.round(value * 10) / 10;
  return `${rounded} ${units[index]}`;
}

const DURATION_UNITS: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

/**
 * Milliseconds from `10s`, `250ms`, `5m`, `1h30m`, `2d`, or `0`. Parts go from large to small, each unit at most once;
 * a bare number other than 0 is refused because its unit would be a guess.
 * Throws `invalid` naming `field` and the value.
 */
export function parseDuration(text: string, field = 'duration'): number {
  const value = durationOf(text.trim());
  if (value === undefined) {
    throw new PolykernelError('invalid', `${field}: ${JSON.stringify(text)} is not a duration`, {
      field,
      value: text,
      hint: 'Write numbers with units from large to small, such as 250ms, 10s, 5m or 1h30m.',
    });
  }
  return value;
}

function durationOf(text: string): number | undefined {
  if (text === '0') return 0;
  const parts = /^(?:(\d{1,6})d)?(?:(\d{1,8})h)?(?:(\d{1,9})m)?(?:(\d{1,10}(?:\.\d{1,3})?)s)?(?:(\d{1,12})ms)?$/.exec(
    text,
  );
  if (parts === null || text === '') return undefined;
  let total = 0;
  for (const [index, [, milliseconds]] of DURATION_UNITS.entries()) {
    total += Number(parts[index + 1] ?? 0) * milliseconds;
  }
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined;
}

/** `1h30m`, `10s`, `1.5s`, `250ms`, `0s`: the form parseDuration reads. */
export function formatDuration(milliseconds: number): string {
  let rest = Math.round(milliseconds);
  if (rest === 0) return '0s';
  if (rest < 0) return `-${formatDuration(-milliseconds)}`;
  if (rest < 1000) return `${rest}ms`;
  let text = '';
  for (const [unit, size] of DURATION_UNITS) {
    if (unit === 's') return rest === 0 ? text : `${text}${rest / 1000}s`;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}
