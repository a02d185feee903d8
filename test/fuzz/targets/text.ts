/** Short texts that people, files and the kernel write. */

import { checkName } from '../../../src/core/name.ts';
import { checkInstanceName } from '../../../src/instance/contract.ts';
import { parsePublished } from '../../../src/network/published-port.ts';
import { parseLatencyPromise } from '../../../src/service/promise.ts';
import { closest } from '../../../src/sys/closest.ts';
import { formatCpuList, formatCpuMask, MAX_CPU, parseCpuList, parseCpuMask } from '../../../src/sys/cpu-list.ts';
import { readOpenFiles } from '../../../src/sys/open-files.ts';
import { formatDuration, parseBytes, parseDuration } from '../../../src/sys/units.ts';
import { must, type Target } from '../target.ts';

const SET_OUTPUT = { base: 16 * (MAX_CPU + 2), perByte: 0 };
/** A few bytes may name all of them. */
const SET_STEPS = { base: 20 * MAX_CPU, perByte: 2000 };

const cpuList: Target = {
  name: 'cpu-list',
  dictionary: ['0-65535', '0-3', ',', '-', ' ', '65536', '0000000000', '4294967295'],
  refusal: RangeError,
  output: SET_OUTPUT,
  steps: SET_STEPS,
  run(input) {
    const cpus = parseCpuList(input.toString('latin1'));
    must(
      cpus.every((cpu, at) => cpu >= 0 && cpu <= MAX_CPU && (at === 0 || cpu > cpus[at - 1]!)),
      'ascending, in range',
    );
    must(formatCpuList(parseCpuList(formatCpuList(cpus))) === formatCpuList(cpus), 'a list reads as it was written');
    return cpus;
  },
};

const cpuMask: Target = {
  name: 'cpu-mask',
  dictionary: ['ffffffff', ',', '00000000,', '0', 'F', ' '],
  refusal: RangeError,
  output: SET_OUTPUT,
  steps: SET_STEPS,
  run(input) {
    const cpus = parseCpuMask(input.toString('latin1'));
    must(parseCpuMask(formatCpuMask(cpus)).length === cpus.length, 'a mask reads as it was written');
    return cpus;
  },
};

const units: Target = {
  name: 'units',
  dictionary: ['KiB', 'k', 'M', 'GiB', 'T', 'ms', 's', 'm', 'h', 'd', '.', '-', ' ', '1h30m', '999999999999999'],
  run(input) {
    const text = input.toString('utf8');
    const outcomes: unknown[] = [attempt(() => parseBytes(text)), parsePublished(text), parseLatencyPromise(text)];
    const duration = attempt(() => parseDuration(text));
    if (duration !== undefined) {
      must(Number.isSafeInteger(duration) && duration >= 0, 'whole milliseconds');
      must(parseDuration(formatDuration(duration)) === duration, 'a duration reads as it was written');
    }
    return [...outcomes, duration];
  },
};

const names: Target = {
  name: 'names',
  dictionary: ['host', '-', '.', '..', '/', 'web-1', '\0', '\u202e', 'a'.repeat(63)],
  run(input) {
    const text = input.toString('utf8');
    must(closest(text, ['web', 'database', 'cache']) !== '', 'a guess is a name');
    readOpenFiles(text);
    checkInstanceName(text);
    must(checkName(text) === text && /^[a-z0-9-]{1,63}$/.test(text), 'a name is a label');
    return text;
  },
};

/** Undefined when it is refused. Other errors go on. */
function attempt(read: () => number): number | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as Error).name !== 'PolykernelError') throw error;
    return undefined;
  }
}

export const textTargets: readonly Target[] = [cpuList, cpuMask, units, names];
