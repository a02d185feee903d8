import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readLinks } from './elf-links.ts';
import { libraryFiles } from './libraries.ts';
import { run, which } from './process.ts';
import { readerOfBuffer } from './read-at.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pk-libraries-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Program {
  interpreter?: string;
  /** d_tag and d_val; a text becomes its place among the names. */
  dynamic?: readonly (readonly [number, string | number])[];
}

/** A program with a loader and a dynamic section. */
function elfProgram({ interpreter = '/lib64/ld-linux-x86-64.so.2', dynamic = [] }: Program): Buffer {
  const base = 0x400000;
  let names = '\0';
  const entries = dynamic.map(([tag, value]) => {
    if (typeof value === 'number') return [tag, value] as const;
    names += `${value}\0`;
    return [tag, names.length - value.length - 1] as const;
  });
  const interpAt = 64 + 3 * 56;
  const namesAt = interpAt + interpreter.length + 1;
  const dynamicAt = namesAt + names.length;
  const all = [...entries, [5, base + namesAt], [10, names.length], [0, 0]] as const;
  const bytes = Buffer.alloc(dynamicAt + all.length * 16);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  bytes.writeUInt16LE(62, 18);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(3, 56);
  const segments = [
    [1, 0, bytes.length],
    [3, interpAt, interpreter.length + 1],
    [2, dynamicAt, all.length * 16],
  ] as const;
  for (const [index, [type, offset, size]] of segments.entries()) {
    const at = 64 + index * 56;
    bytes.writeUInt32LE(type, at);
    bytes.writeBigUInt64LE(BigInt(offset), at + 8);
    bytes.writeBigUInt64LE(BigInt(base + offset), at + 16);
    bytes.writeBigUInt64LE(BigInt(size), at + 32);
  }
  bytes.write(`${interpreter}\0`, interpAt, 'latin1');
  bytes.write(names, namesAt, 'latin1');
  for (const [index, [tag, value]] of all.entries()) {
    bytes.writeBigInt64LE(BigInt(tag), dynamicAt + index * 16);
    bytes.writeBigInt64LE(BigInt(value), dynamicAt + index * 16 + 8);
  }
  return bytes;
}

const DT_NEEDED = 1;
const DT_RPATH = 15;
const DT_RUNPATH = 29;
const DT_AUDIT = 0x6ffffefc;

function put(name: string, bytes: Buffer): string {
  writeFileSync(join(directory, name), bytes, { mode: 0o755 });
  return join(directory, name);
}

describe('libraryFiles', () => {
  const programs = ['linux.uml', 'qemu-system-x86_64', 'bwrap', 'sqfstar', 'unsquashfs', 'xz', 'zstd', 'gzip', 'tar'];
  it.each(programs)('finds what ldd names for %s', async (name) => {
    const program = which(name);
    if (program === undefined) return;
    const { stdout } = await run(['ldd', program]);
    const listed = [...stdout.matchAll(/^\s+(?:\S+ => )?(\/.+) \(0x[0-9a-f]+\)$/gm)].map((match) => match[1]);
    const found = libraryFiles(program).map(({ path }) => path);
    expect(found.sort()).toEqual(listed.sort());
  });

  it('runs nothing of the program, and takes no library from where it says', () => {
    // A library of the system's machine that only the program's own paths lead to.
    put('libmine.so.1', elfProgram({}));
    const tags = [DT_RPATH, DT_RUNPATH, DT_AUDIT].map((tag) => [tag, directory] as const);
    const program = put('linux', elfProgram({ dynamic: [[DT_NEEDED, 'libmine.so.1'], ...tags] }));
    expect(() => libraryFiles(program)).toThrow(/needs the library libmine\.so\.1/);
    expect(libraryFiles(program, directory).map(({ path }) => path)).toEqual([
      join(directory, 'libmine.so.1'),
      '/lib64/ld-linux-x86-64.so.2',
    ]);
  });

  it.each(['/tmp/loader', '../../lib64/ld-linux-x86-64.so.2', '/lib64/../tmp/ld.so', ''])(
    'refuses the loader %j',
    (interpreter) => {
      expect(() => libraryFiles(put('linux', elfProgram({ interpreter })))).toThrow(/asks for the loader/);
    },
  );

  it.each(['../evil.so', '/tmp/evil.so', '.', '..', '', 'a b', 'a\nb', 'x'.repeat(300)])(
    'refuses a library of the name %j',
    (name) => {
      const program = put('linux', elfProgram({ dynamic: [[DT_NEEDED, name]] }));
      expect(() => libraryFiles(program)).toThrow(/names the library|is cut short/);
    },
  );

  it('needs nothing for scripts and static programs', () => {
    expect(libraryFiles(put('script', Buffer.from('#!/bin/sh\n')))).toEqual([]);
    const still = elfProgram({});
    for (const at of [64 + 56, 64 + 112]) still.writeUInt32LE(0, at);
    expect(libraryFiles(put('static', still))).toEqual([]);
  });
});

describe('readLinks', () => {
  it('is through with any bytes, and throws nothing but what it says', () => {
    const sound = elfProgram({ dynamic: [[DT_NEEDED, 'libc.so.6']] });
    const changes = fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(changes, fc.nat(sound.length), (edits, length) => {
        const bytes = Buffer.from(sound);
        for (const [at, value] of edits) bytes[at] = value;
        try {
          readLinks(readerOfBuffer(bytes.subarray(0, length)), 'x');
        } catch (error) {
          expect(error).toMatchObject({ name: 'PolykernelError', code: 'invalid' });
        }
      }),
      { numRuns: 2000 },
    );
  });
});
