/** Node reads arguments and variables as UTF-8, and puts U+FFFD where they are not: here is found out what they were. */
import { PolykernelError } from './errors.ts';

const { isUtf8 } = process.getBuiltinModule('node:buffer');
const HINT = 'Write it as text, and have the command make the bytes: sh -c \'... "$(printf "\\377")"\'.';

/** Throws `invalid` for the first of `args`, the last arguments of this process, that is no UTF-8. */
export function refuseLostArguments(args: readonly string[], commandLine = ofThis('cmdline')): void {
  const words = split(commandLine).slice(-args.length);
  const index = words.findIndex((word) => !isUtf8(word));
  if (index < 0) return;
  const shown = JSON.stringify(args[index]);
  throw new PolykernelError('invalid', `argument ${index + 1} (${shown}) is no UTF-8 text`, {
    value: args[index]!,
    hint: HINT,
  });
}

/** Throws `invalid` where the variable `name` of this process is no UTF-8. No value is in the message. */
export function refuseLostVariable(name: string, field: string, environment = ofThis('environ')): void {
  const begin = Buffer.from(`${name}=`);
  const entry = split(environment).find((each) => each.subarray(0, begin.length).equals(begin));
  if (entry === undefined || isUtf8(entry)) return;
  throw new PolykernelError('invalid', `${field}: the value of ${name} is no UTF-8 text`, { field, hint: HINT });
}

const ofThis = (what: string): Buffer => process.getBuiltinModule('node:fs').readFileSync(`/proc/self/${what}`);

/** Strings that each end with a zero byte. */
function split(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let from = 0, to: number; from < bytes.length; from = to + 1) {
    to = bytes.indexOf(0, from);
    if (to < 0) to = bytes.length;
    found.push(bytes.subarray(from, to));
  }
  return found;
}
