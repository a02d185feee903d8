/** Fuzzes the logic of the C programs, built for this with the sanitizers of gcc: native/*.c of this directory. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run } from '../../src/sys/process.ts';
import { toolPath } from '../../src/sys/tools.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { corpus } from './target.ts';
import type { Job, Report } from './worker.ts';

export interface NativeTarget {
  /** Of its harness and its corpus. */
  readonly name: 'pk-init' | 'pk-shim' | 'pk-forward' | 'pk-ring' | 'pk-share';
  readonly dictionary: readonly (string | Uint8Array)[];
  readonly maxBytes: number;
}

export const NATIVE_TARGETS: readonly NativeTarget[] = [
  {
    name: 'pk-init',
    maxBytes: 40_000,
    dictionary: [
      ...words(
        'hostname=x\0 time=1700000000.5\0 time-step=-1\0 time-slew=9\0 seed=00ff\0 module=/m.ko\0 mkdir=/a/b_0755\0 sync=\0 switch-root=/r\0',
      ),
      ...words(
        'mount=9p_src_/target_ro,bind_opt\0 write=/x_y\0 link=a_/b\0 own-name=/_/x_a.b\0 etc-room=/_/x\0 run-directories=/run\0 channel=c_3_send_iomem_0_8192\0 no-channel=c\0',
      ),
      ...words(
        'address=eth0_10.0.0.2_255.0.0.0_10.0.0.1\0 arg=sh\0 env=A=b\0 cwd=/\0 tty=1\0 user=root\0 user=7:adm\0 cwd-optional=1\0 merged=1\0 rows=4294967296\0',
      ),
      ...words('path=/proc/stat\0 path=/etc/passwd\0 interval-ms=0\0 = \0'),
      operation(1, 0, bytes(1, 0, 0, 0, 9, 0, 0, 0)),
      operation(1, 0, bytes(1, 0, 3, 0, 9, 0, 0, 0)),
      operation(4, 1, bytes(65, 66)),
      bytes(4, 8, 1, 2, 0, 65, 66),
      operation(7, 1, bytes(0, 64, 0, 0)),
      operation(8, 1),
      operation(12, 0, Buffer.alloc(8)),
      operation(13, 3),
      operation(14, 1),
      bytes(0xfe, 4, 0, 0x33, 10, 0x31, 0x30),
      bytes(0xff, 5, 0, 0x50, 0x4b, 1, 2, 3),
      bytes(0xfd, 3, 0, 65, 66, 67),
      Buffer.concat([bytes(0xfd, 0x89, 0x13), Buffer.alloc(5001, 'x')]),
      bytes(0xfc, 0, 0),
    ],
  },
  {
    name: 'pk-shim',
    maxBytes: 6000,
    dictionary: [
      ...words(
        'control monitor console wait kill status pin pass pass-tap pass-connection mconsole , - \n 0-8191 8192 18446744073709551616',
      ),
      ...['5,6,63', 'uml/mconsole stop', '/dev/null', ' '],
    ],
  },
  {
    name: 'pk-forward',
    maxBytes: 512,
    dictionary: [
      bytes(0xf0, 0xf1, 0xf2, 0xf3),
      bytes(0xf4),
      bytes(0xf7),
      '127.0.0.1:80',
      ':65536',
      bytes(5, 0, 64, 65, 0x80, 66, 0xff),
      bytes(0x82, 0x41, 0x01),
    ],
  },
  {
    name: 'pk-share',
    maxBytes: 4096,
    dictionary: [
      ...words('a\0 b\0 a\0b\0 .\0 ..\0 a/b\0 \0'),
      ...[
        1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 26, 27, 28, 29, 30, 35, 36, 42, 44, 45,
      ].flatMap((number) => [request(number, 1, Buffer.from('a\0')), request(number, 2, Buffer.alloc(64, 1))]),
      request(1, 1, Buffer.from('dir\0')),
      // Directories in directories, and what is far from the root.
      Buffer.concat([1, 2, 3, 4, 5, 6, 7, 8].map((node) => Buffer.from(request(1, node, Buffer.from('d\0'))))),
      request(9, 7, Buffer.concat([Buffer.alloc(8), Buffer.from('d\0')])),
      request(35, 1, Buffer.concat([Buffer.alloc(16), Buffer.from('new\0')])),
      request(12, 1, Buffer.concat([bytes(1, 0, 0, 0, 0, 0, 0, 0), Buffer.from('a\0dir\0')])),
      request(13, 1, Buffer.concat([bytes(2, 0, 0, 0, 0, 0, 0, 0), Buffer.from('link\0')])),
      request(
        42,
        0,
        Buffer.concat([bytes(2, 0, 0, 0, 0, 0, 0, 0), bytes(2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0)]),
      ),
    ],
  },
  {
    name: 'pk-ring',
    maxBytes: 2048,
    dictionary: [
      ...words('memory=/dev/mem\n offset= bytes=8192\n bytes=2147483648\n sides=send,recv\n bell=/x\n number=1\n \n ='),
      ...words('peer=bell\n sleep=/y\n sleep-offset=4092\n sleep-offset=4093\n'),
      ...[
        bytes(0x10, 0, 0, 0x80),
        bytes(0, 0, 0, 0xc0),
        bytes(0x80, 2, 8),
        bytes(0x80, 0, 16),
        bytes(0xf8, 0xff, 0xff, 0x7f),
      ],
    ],
  },
];

/** `_` stands for the separator of pk-init's fields. */
function words(text: string): string[] {
  return text.replaceAll('_', '\x1f').split(' ');
}

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

/** TYPE FLAGS SESSION LENGTH(2) PAYLOAD. */
function operation(type: number, session: number, payload: Uint8Array = bytes()): Uint8Array {
  return Buffer.concat([bytes(type, 0, session, payload.length & 255, payload.length >> 8), payload]);
}

/** LENGTH(2) OPERATION NODE BODY. */
function request(number: number, node: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([bytes(body.length & 255, body.length >> 8, number, node), body]);
}

/** Compiles the harness, gives it inputs, and finds out with which it ended. */
export async function fuzzNative(target: NativeTarget, job: Omit<Job, 'shared' | 'name'>): Promise<Report> {
  const place = mkdtempSync(join(tmpdir(), 'pk-fuzz-native-'));
  try {
    const program = await build(target.name, place);
    const present = join(place, 'present');
    const harness = spawn(program, [present], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ASAN_OPTIONS: 'detect_leaks=0' },
    });
    let said = '';
    let taken = '';
    harness.stdout.setEncoding('latin1').on('data', (text: string) => {
      taken += text;
    });
    harness.stderr.setEncoding('latin1').on('data', (text: string) => {
      said = (said + text).slice(-16_384);
    });
    const ended = once(harness, 'close');
    const fed = { inputs: 0 };
    // One that ends early does not take all: told by how it ended.
    await pipeline(Readable.from(inputsFor(target, job, fed)), harness.stdin).catch(() => {});
    const [code, signal] = await ended;
    const { inputs } = fed;
    if (code === 0 && Number(taken) === inputs) return { inputs, steps: 0, bytes: 0, failure: undefined };
    const file = readFileSync(present);
    const fault =
      signal === 'SIGPROF'
        ? 'hangs'
        : `ends with ${signal ?? `status ${code}`} after ${inputs} inputs:\n${taken}${said}`;
    return { inputs, steps: 0, bytes: 0, failure: { fault, input: file.subarray(4, 4 + file.readUInt32LE()) } };
  } finally {
    rmSync(place, { recursive: true });
  }
}

async function build(name: string, place: string): Promise<string> {
  const program = join(place, name);
  const source = join(import.meta.dirname, 'native', `${name}.c`);
  const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];
  const warnings = ['-Wall', '-Wextra', '-Wno-unused-function'];
  const compiled = await run([
    toolPath('gcc').path,
    '-std=gnu11',
    '-g',
    '-O1',
    ...sanitizers,
    ...warnings,
    '-o',
    program,
    source,
  ]);
  if (compiled.code !== 0) throw new Error(`${name}: ${compiled.stderr}`);
  return program;
}

/** The corpus, then what is made of it, each behind its length. Counts them in `fed`. */
function* inputsFor(
  target: NativeTarget,
  { seed, runs, seconds }: Omit<Job, 'shared' | 'name'>,
  fed: { inputs: number },
): Generator<Buffer> {
  const random = new Random(seed);
  const dictionary = target.dictionary.map((word) => Buffer.from(word as Uint8Array));
  const seeds = corpus(target.name).map(({ bytes }) => bytes);
  const end = performance.now() + seconds * 1000;
  while (fed.inputs < runs && performance.now() < end) {
    const batch: Buffer[] = [];
    for (; batch.length < 512 && fed.inputs < runs; fed.inputs++) {
      const input = seeds[fed.inputs] ?? mutate(random, { seeds, dictionary, maxBytes: target.maxBytes });
      const length = Buffer.alloc(4);
      length.writeUInt32LE(input.length);
      batch.push(length, input);
    }
    yield Buffer.concat(batch);
  }
}
