/** Fuzzes decoders with inputs that no run has seen: `npm run fuzz [-- NAME... --seconds N --seed S]`. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { fuzz, NAMES } from '../test/fuzz/fuzzer.ts';
import { argumentsOrHelp } from './usage.ts';

const USAGE = `usage: npm run fuzz -- [NAME]... [--seconds N] [--seed S]\nnames: ${NAMES.join(', ')}`;

const { values, positionals } = readArguments();
const names = positionals.length > 0 ? positionals : NAMES;
const seed = Number(values.seed ?? randomInt(2 ** 31));
const seconds = Number(values.seconds ?? 10);
const unNAMES = names.find((name) => !NAMES.includes(name));
if (unNAMES !== undefined) refuse(`there is no decoder ${unNAMES}; there are ${NAMES.join(', ')}`);
if (!Number.isSafeInteger(seed) || seed < 0) refuse(`--seed: ${values.seed} is not a whole number`);
if (!(seconds > 0)) refuse(`--seconds: ${values.seconds} is not a number of seconds`);

console.log(`seed ${seed}, ${seconds} s each`);
for (const name of names) {
  const { inputs, steps, bytes, failure } = await fuzz({ name, seed, runs: Number.POSITIVE_INFINITY, seconds });
  if (failure !== undefined) process.exitCode = 1;
  console.log(failure ?? `${name}: ${inputs} inputs, at most ${steps} steps (for ${bytes} bytes)`);
}

function readArguments() {
  try {
    const options = { seconds: { type: 'string' }, seed: { type: 'string' } } as const;
    return parseArgs({ args: argumentsOrHelp(USAGE), allowPositionals: true, options });
  } catch (error) {
    refuse((error as Error).message);
  }
}

function refuse(reason: string): never {
  console.error(`fuzz: ${reason}`);
  process.exit(2);
}
