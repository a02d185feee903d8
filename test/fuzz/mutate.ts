/** Makes inputs of inputs. Deterministic: the same numbers give the same bytes. */
import type { Random } from './random.ts';

/** Values at which checks of sizes go wrong. */
const EDGES = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1023, 1024, 4095, 4096, 0x7fff, 0x8000,
  0xffff, 0x10000, 0x7fff_fff8, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_fff8, 0xffff_fffd, 0xffff_ffff,
];
const NUMBERS = [
  ...['0', '1', '-1', '00', '65535', '65536', '2147483647', '4294967295', '4294967296', '9007199254740993'],
  ...['99999999999999999999', '1e9', '0x10', '1.5', 'NaN', '-0', '18446744073709551615'],
];
/** How often a piece is repeated up to the longest input: what takes superlinear time shows then. */
const PUMP_ONE_IN = 250;

export interface Material {
  /** What inputs begin as. */
  seeds: readonly Buffer[];
  dictionary: readonly Buffer[];
  /** Longest input in bytes. */
  maxBytes: number;
}

/** A new input: one of the seeds after one to six changes. */
export function mutate(random: Random, material: Material): Buffer {
  let input: Buffer = Buffer.from(random.pick(material.seeds));
  const changes = 1 + random.below(random.below(4) === 0 ? 6 : 2);
  for (let change = 0; change < changes; change++) input = changed(random, input, material);
  if (random.below(PUMP_ONE_IN) === 0) input = pumped(random, input, material);
  return input.length > material.maxBytes ? input.subarray(0, material.maxBytes) : input;
}

function changed(random: Random, input: Buffer, { seeds, dictionary }: Material): Buffer {
  const at = random.below(input.length + 1);
  const length = Math.min(1 + random.below(random.below(3) === 0 ? 64 : 6), input.length - at);
  const kind = random.below(11);
  if (kind === 0 && length > 0) input[at]! ^= 1 << random.below(8);
  else if (kind === 1 && length > 0) input[at] = random.word();
  else if (kind === 2) return replaced(input, at, length, Buffer.alloc(0));
  else if (kind === 3) return replaced(input, at, 0, input.subarray(at, at + length));
  else if (kind === 4) return input.subarray(0, at);
  else if (kind === 5) return withEdge(random, input, at);
  else if (kind === 6) return withNumber(random, input, at);
  else if (kind === 7) {
    const other = random.pick(seeds);
    const from = random.below(other.length);
    return replaced(input, at, random.below(2) * length, other.subarray(from, from + 1 + random.below(80)));
  } else if (dictionary.length > 0) return replaced(input, at, random.below(2) * length, random.pick(dictionary));
  return input;
}

function replaced(input: Buffer, at: number, length: number, by: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, at), by, input.subarray(at + length)]);
}

/** A binary number of 1 to 8 bytes becomes one at an edge. */
function withEdge(random: Random, input: Buffer, at: number): Buffer {
  const width = 1 << random.below(4);
  // Fields of binary formats stand at multiples of their size.
  const start = random.below(2) === 0 ? at : at - (at % width);
  if (start + width > input.length) return input;
  const value = BigInt.asUintN(width * 8, BigInt(random.pick(EDGES)) - BigInt(random.below(3) === 0 ? 1 : 0));
  for (let byte = 0; byte < width; byte++) input[start + byte] = Number((value >> BigInt(8 * byte)) & 255n);
  return input;
}

/** A number in digits, the next behind `at`, becomes another. */
function withNumber(random: Random, input: Buffer, at: number): Buffer {
  let start = at;
  while (start < input.length && (input[start]! < 0x30 || input[start]! > 0x39)) start += 1;
  let end = start;
  while (end < input.length && input[end]! >= 0x30 && input[end]! <= 0x39) end += 1;
  return replaced(input, start, end - start, Buffer.from(random.pick(NUMBERS)));
}

function pumped(random: Random, input: Buffer, { maxBytes, dictionary }: Material): Buffer {
  const at = random.below(input.length + 1);
  const own = input.subarray(at, at + 1 + random.below(12));
  const piece = own.length === 0 || random.below(3) === 0 ? random.pick([...dictionary, Buffer.from(' ')]) : own;
  const room = maxBytes - input.length;
  if (room < piece.length || piece.length === 0) return input;
  return replaced(input, at, 0, Buffer.alloc(room - (room % piece.length), piece));
}
