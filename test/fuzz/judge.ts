/** Runs one input and says what is wrong with how it went. */
import { PolykernelError } from '../../src/sys/errors.ts';
import type { Target } from './target.ts';

/** Of one input, in milliseconds; they take microseconds. What others on the machine do does not count. */
const CPU_MS = 2000;
const OUTPUT = { base: 64 * 1024, perByte: 64 };
/** An error is shown to people and stored. */
const MOST_MESSAGE = 4096;

export interface Verdict {
  /** What is wrong; undefined when nothing is. */
  fault: string | undefined;
  /** Tells outcomes apart roughly: an input that brings a new one is kept as a seed. */
  shape: string;
  /** Microseconds of CPU. */
  cpu: number;
}

export async function judge(target: Target, input: Buffer): Promise<Verdict> {
  const before = process.threadCpuUsage();
  const { fault, shape } = await outcome(target, input);
  const { user, system } = process.threadCpuUsage(before);
  const cpu = user + system;
  const slow =
    cpu > (target.cpuMs ?? CPU_MS) * 1000
      ? `took ${Math.round(cpu / 1000)} ms of CPU for ${input.length} bytes`
      : undefined;
  return { fault: fault ?? slow, shape, cpu };
}

async function outcome(target: Target, input: Buffer): Promise<Pick<Verdict, 'fault' | 'shape'>> {
  // A decoder that changes what it reads, or keeps it, would show in later inputs.
  const given = Buffer.from(input);
  try {
    const pending = target.run(given);
    const result = pending instanceof Promise ? await pending : pending;
    const { base, perByte } = target.output ?? OUTPUT;
    const most = base + perByte * input.length;
    const size = sizeOf(result, most);
    const fault = size > most ? `gives more than ${most} bytes for ${input.length}` : undefined;
    return { fault, shape: shapeOf(result, 2) };
  } catch (error) {
    return { fault: refuses(target, error), shape: `throws ${templateOf(error)}` };
  }
}

function refuses(target: Target, error: unknown): string | undefined {
  const isRefusal = error instanceof PolykernelError || (target.refusal && error instanceof target.refusal);
  if (!isRefusal) return `throws ${error instanceof Error ? error.stack : String(error)}`;
  const { message } = error as Error;
  if (message.length > MOST_MESSAGE) return `refuses with a message of ${message.length} characters`;
  return undefined;
}

function templateOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .slice(0, 300)
    .replace(/"[^"]*"|[\d.]+|0x[\da-f]+/g, '')
    .slice(0, 100);
}

/** Bytes of a value, roughly; stops counting above `most`. */
function sizeOf(value: unknown, most: number): number {
  if (typeof value === 'string') return value.length;
  if (value instanceof Uint8Array) return value.byteLength;
  if (typeof value !== 'object' || value === null) return 8;
  let size = 16;
  const parts: Iterable<unknown> =
    Array.isArray(value) || value instanceof Map || value instanceof Set ? value : Object.entries(value);
  for (const part of parts) {
    size += sizeOf(part, most - size);
    if (size > most) break;
  }
  return size;
}

function shapeOf(value: unknown, depth: number): string {
  if (value instanceof Uint8Array) return value.length === 0 ? 'b0' : 'b';
  if (typeof value !== 'object' || value === null) return value === null ? '0' : (typeof value)[0]!;
  const parts = Array.isArray(value)
    ? value
    : value instanceof Map || value instanceof Set
      ? [...value.values()]
      : Object.values(value);
  if (depth === 0) return `(${Math.min(parts.length, 3)})`;
  return `(${parts
    .slice(0, 12)
    .map((part) => shapeOf(part, depth - 1))
    .join('')}${Math.min(parts.length, 16)})`;
}
