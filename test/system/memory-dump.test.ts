/** The log of a kernel out of dumps of its memory, and dumps that somebody made up. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dumpText } from '../../src/cli/evidence/dump-text.ts';
import { unflatten } from '../../src/cli/evidence/memory/flattened.ts';
import { openKdump } from '../../src/cli/evidence/memory/kdump.ts';
import { isDump, summarize } from '../../src/cli/evidence/memory/open-dump.ts';
import { command } from '../../src/cli/evidence/show.ts';
import { layOut, type Mapping } from '../../src/driver/uml/core-file.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { type ReadAt, readerOfBuffer } from '../../src/sys/read-at.ts';
import { flattenedKdump, memoryWithLog } from '../support/kernel-memory.ts';

const LINES = ['Linux version 6.1.0-test', 'something', 'Kernel panic - not syncing: \x1b[2Jsysrq triggered crash'];
const PAGE = 4096;
const UML_BASE = 0x6000_0000;
const TEXT_BASE = 0xffffffff80000000n;

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-dump-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const file = (bytes: Buffer): string => {
  const path = join(directory, 'dump');
  writeFileSync(path, bytes);
  return path;
};
/** An ELF core of User Mode Linux with that memory at `start`. */
function elfCore(memory: Buffer, start: number): Buffer {
  const path = '/dev/shm/vm_file-Ab12Cd (deleted)';
  const mapping: Mapping = { start, end: start + memory.length, permissions: 'rwxs', offset: 0, file: '00:31 7', path };
  return Buffer.concat([layOut([mapping], memory.length, new Map([['rip', 0x6000_1234n]])).header, memory]);
}

const ofUml = (lines: readonly string[]) => elfCore(memoryWithLog(lines, BigInt(UML_BASE)), UML_BASE);
const ofQemu = (lines: readonly string[], facts = ['NUMBER(phys_base)=0']) =>
  flattenedKdump(memoryWithLog(lines, TEXT_BASE, facts));

it.each([
  ['ELF core', ofUml, 'rip', 0x6000_1234n],
  ['kdump', ofQemu, 'rip', 0xffffffff81000000n],
] as const)('%s: release, log, panic and registers', (format, make, register, value) => {
  const bytes = make(LINES);
  expect(isDump(bytes.subarray(0, 16))).toBe(true);
  const summary = summarize(file(bytes));
  expect(summary).toMatchObject({ release: '6.1.0-test', noLog: '', bytes: bytes.length });
  expect(summary.format).toContain(format);
  expect(summary.log).toEqual(LINES.map((line, second) => `[    ${second}.000000] ${line}`));
  expect(summary.registers[0]!.get(register)).toBe(value);
  const text = dumpText('f', summary, { log: false, registers: false });
  expect(text).toContain('Panic: [    2.000000] Kernel panic - not syncing: sysrq triggered crash');
  expect(text).not.toContain('\x1b');
});

it.each([
  ['ELF core', ofUml],
  ['kdump', ofQemu],
] as const)('%s: a log that went round has its latest lines, in order', (_, make) => {
  const lines = Array.from({ length: 30 }, (__, at) => `line ${at} ${'x'.repeat((at * 7) % 40)}`);
  const { log } = summarize(file(make(lines)));
  expect(log.map((line) => line.slice(line.indexOf(']') + 2))).toEqual(lines.slice(-8));
});

it('what the kernel does not say is told as missing, not guessed', () => {
  const summary = summarize(file(ofQemu(LINES, [])));
  expect(summary).toMatchObject({ release: '6.1.0-test', log: [], noLog: expect.stringContaining('nothing at') });
});

it.each([
  ['a place outside of a record', 'OFFSET(prb_desc.state_var)=900000', 'smaller than what is in them'],
  ['a time outside of a record', 'OFFSET(printk_info.ts_nsec)=81', 'smaller than what is in them'],
  ['records so large that all memory is read for each', 'SIZE(prb_desc)=999999', 'larger than any'],
])('a kernel that says %s is told of, and not believed', (_, fact, words) => {
  const summary = summarize(file(elfCore(memoryWithLog(LINES, BigInt(UML_BASE), [fact]), UML_BASE)));
  expect(summary).toMatchObject({ log: [], noLog: expect.stringContaining(words) });
});

it('pages that a dump says are there and are not take no time', () => {
  const bytes = ofQemu(LINES);
  const whole = unflatten(readerOfBuffer(bytes), bytes.length)!;
  let asked = 0;
  const read: ReadAt = (offset, length) => {
    asked += 1;
    // All bits of its map.
    return offset >= 2 * PAGE && offset < 4 * PAGE ? Buffer.alloc(length, 0xff) : whole(offset, length);
  };
  const pages = [...openKdump(read)!.pages()].length;
  expect(pages).toBeGreaterThan(0);
  // Of 32,768 that it says.
  expect(asked).toBeLessThan(8_000);
});

it('a FIFO in the place of what was saved is refused, and not waited for', async () => {
  const path = join(directory, 'fifo');
  execFileSync('mkfifo', [path]);
  const invocation = { positionals: [path], flag: () => false } as never;
  await expect(command.run(invocation)).rejects.toMatchObject({ code: 'invalid', field: 'FILE' });
});

it('what is no dump, or is cut short, is refused or shown as far as it goes; never anything worse', () => {
  expect(() => summarize(file(Buffer.from('{}')))).toThrow(expect.objectContaining({ code: 'invalid', field: 'FILE' }));
  let state = 1;
  const random = (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  for (const whole of [ofUml(LINES), ofQemu(LINES)]) {
    for (let round = 0; round < 40; round++) {
      const bytes = Buffer.from(whole.subarray(0, round % 3 === 0 ? random(whole.length) : whole.length));
      for (let each = 0; each < 1 + random(8) && bytes.length > 0; each++) {
        const at = round % 2 === 0 ? random(bytes.length) : random(Math.min(bytes.length, 6000));
        bytes[at] = random(256);
      }
      try {
        dumpText('f', summarize(file(bytes)), { log: true, registers: true });
      } catch (error) {
        expect(error).toBeInstanceOf(PolykernelError);
      }
    }
  }
});
