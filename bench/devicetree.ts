/** Device trees: compiling a large source in process against dtc as a process, and reading a large blob. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode, encode, parseDts } from '../src/devicetree/index.ts';
import { toolPath } from '../src/sys/tools.ts';
import { atMost, type Bench, median } from './row.ts';
import { interleaved, timeProcess } from './timing.ts';

const LINES = 5000;
const ROUNDS = 21;
const BLOB_BYTES = 2 ** 20;

/** A device as boards have them, in ten lines: cells, texts, expressions, references, children. */
const device = (index: number): string => `
	dev${index}: device@${(index * 0x1000).toString(16)} {
		compatible = "vendor,device-${index % 20}", "vendor,device";
		reg = <0x${(index * 0x1000).toString(16)} 0x1000>;
		interrupts = <0 ${index} (1 << 2)>;
		clocks = <&clk ${index}>, <&dev${Math.max(0, index - 1)}>;
		mac = [02 00 00 00 ${Buffer.from([index >> 8, index & 255]).toString('hex')}];
		status = "okay"; /* always */
		port { endpoint { remote = <&clk>; bus-width = <8>; }; };
	};`;

const source = (devices: number): string =>
  `/dts-v1/;\n/ {\n\t#address-cells = <1>;\n\tclk: clk { };${Array.from({ length: devices }, (_, index) => device(index)).join('')}\n};\n`;

export const devicetree: Bench = async (progress) => {
  const text = source(Math.ceil(LINES / 9));
  const blob = encode(parseDts(source(BLOB_BYTES / 255)));
  const tool = toolPath('dtc');
  const directory = mkdtempSync(join(tmpdir(), 'pk-bench-dt-'));
  try {
    const file = join(directory, 'board.dts');
    writeFileSync(file, text);
    progress('devicetree: parseDts + encode, and dtc, in turn');
    const began = performance.now();
    encode(parseDts(text));
    const first = performance.now() - began;
    const { ours, theirs } = await interleaved(ROUNDS, {
      ours: async () => elapsed(() => encode(parseDts(text))),
      theirs: () =>
        timeProcess([tool.path, '-q', '-q', '-O', 'dtb', '-o', '/dev/null', file], {
          env: { ...process.env, ...tool.env },
        }),
    });
    const times = Array.from({ length: ROUNDS }, () => ({
      wall: elapsed(() => decode(blob)),
      cpu: cpuTime(() => decode(blob)),
    }));
    return [
      atMost(3, {
        name: `compile a source of ${text.split('\n').length} lines in process`,
        value: ours,
        unit: 'ms',
        peer: 'dtc as a process',
        peerValue: theirs,
        note: `the first time, after warming up on another: ${first.toFixed(0)} ms`,
      }),
      atMost(20, {
        name: `decode a blob of ${(blob.length / 2 ** 20).toFixed(2)} MiB`,
        value: median(times.map(({ cpu }) => cpu)),
        unit: 'ms',
        peer: 'goal',
        peerValue: 20,
        of: 'value',
        note: `time of the CPU, the first rounds too; by the clock, with what others did, ${median(times.map(({ wall }) => wall)).toFixed(0)} ms`,
      }),
    ];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

/** Milliseconds of CPU that this thread used: what others on the machine do does not count. */
function cpuTime(act: () => unknown): number {
  const before = process.threadCpuUsage();
  act();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

function elapsed(act: () => unknown): number {
  const began = performance.now();
  act();
  return performance.now() - began;
}
