/** What VMMs, kernels' consoles and pk-shim say. */
import { Duplex } from 'node:stream';
import { Qmp } from '../../../src/driver/qemu/qmp.ts';
import { findPanic } from '../../../src/driver/shim/kernel.ts';
import { parseProgramExit } from '../../../src/driver/shim/shim.ts';
import { parseLpj } from '../../../src/driver/uml/lpj.ts';
import { plainText } from '../../../src/sys/text.ts';
import { must, type Target } from '../target.ts';

class Monitor extends Duplex {
  override _read() {}
  override _write(_chunk: Buffer, _encoding: string, done: () => void) {
    done();
  }
}

/** Each line of the input comes in two pieces. */
const qmp: Target = {
  name: 'qmp',
  dictionary: [
    ...['{"QMP":{"version":{},"capabilities":[]}}\n', '{"return":{},"id":"f1"}\n', '"id":"f2"', '"id":"f3"'],
    ...[
      '{"event":"STOP","data":{}}\n',
      '{"error":{"class":"CommandNotFound","desc":"x"},"id":"f1"}\n',
      '"event":',
      '"error":',
    ],
    ...['null', '[]', '{}', '\n', ',', '"__proto__":{}', '[[[[', '{"a":'],
  ],
  async run(input) {
    const monitor = new Monitor();
    const told: unknown[] = [];
    const note = (value: unknown) => told.push(value);
    const opening = Qmp.open(monitor, 'f');
    let client: Qmp | undefined;
    opening.then((opened) => {
      client = opened.on('event', note);
      opened.execute('query-status').then(note, note);
      opened.execute('migrate', { uri: 'fd:x' }).then(note, note);
    }, note);
    for (const line of input.toString('latin1').split(/(?<=\n)/)) {
      const bytes = Buffer.from(line, 'latin1');
      monitor.emit('data', bytes.subarray(0, bytes.length >> 1));
      monitor.emit('data', bytes.subarray(bytes.length >> 1));
      if (client === undefined) await new Promise(setImmediate);
    }
    monitor.emit('end');
    client?.close();
    await opening.catch(() => {});
    await new Promise(setImmediate);
    return told;
  },
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

const consoleText: Target = {
  name: 'console-text',
  dictionary: [
    ...[
      'Kernel panic - not syncing',
      '---[ end ',
      ' ]---',
      '\x1b[31m',
      '\x1b]0;',
      '\x07',
      '\x9b',
      '\u202e',
      '\n',
      '  ',
      '\t',
    ],
    ...['Calibrating delay loop', '(lpj=1234)', 'lpj=', '\x1b', '\ufeff'],
  ],
  maxBytes: 32 * 1024,
  run(input) {
    const text = plainText(input.toString('utf8'));
    must(!CONTROL.test(text), 'no control character is left');
    must(plainText(text) === text, 'cleaning twice is cleaning once');
    return [text.length, findPanic(text), parseLpj(text)];
  },
};

const shim: Target = {
  name: 'shim-files',
  dictionary: ['code ', 'signal ', '\n', '0', '139', 'ready ', 'running '],
  run(input) {
    const exit = parseProgramExit(input.toString('latin1'));
    if (exit !== undefined) must((exit.code === null) !== (exit.signal === null), 'either a code or a signal');
    return exit;
  },
};

export const driverTargets: readonly Target[] = [qmp, consoleText, shim];
