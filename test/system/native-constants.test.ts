/** What C and TypeScript both state says the same: a program made of the C headers prints its side. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findCompiler } from '../../scripts/setup/native.ts';
import { LINE_PCI_SLOT } from '../../src/driver/qemu/line-memory.ts';
import { FIRST_PCI_SLOT } from '../../src/driver/qemu/regions.ts';
import { FIRST_PASSED_FD, SHIM_MEMORY_FD } from '../../src/driver/shim/shim.ts';
import * as guest from '../../src/guest/protocol.ts';
import * as ring from '../../src/ring/layout.ts';
import { run } from '../../src/sys/process.ts';

const NATIVE = join(import.meta.dirname, '../../native');
const HEADERS = ['init/protocol.h', 'ring/pk-ring.h', 'shim/descriptors.h', 'shim/memory.h'];

/** C expressions with the value that TypeScript has for them. */
type Stated = Record<string, number>;

/** Names in C that are `prefix` and the key, from camelCase. */
function named(prefix: string, values: Readonly<Record<string, number>>): Stated {
  const name = (key: string) => prefix + key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [name(key), value]));
}

const GUEST: Stated = {
  VERSION: guest.PROTOCOL_VERSION,
  HEADER: guest.HEADER_BYTES,
  TTY_PAYLOAD: guest.MAX_TO_GUEST,
  TTY_WINDOW: guest.LINE_WINDOW,
  IN_PAYLOAD: guest.WIDEST.payload,
  OUT_PAYLOAD: guest.MAX_TO_HOST,
  BARE_WINDOW: guest.WIDEST.window,
  BARE_STDIN: guest.WIDEST.stdin,
  BARE_IN: guest.WIDEST.bare,
  BARE_END: guest.BARE_END_BYTES,
  BARE_OUT: guest.MAX_BARE,
  TAKES_BARE: guest.HOST_TAKES_BARE,
  OUTPUT_CREDIT: guest.OUTPUT_CREDIT,
  MESSAGE: guest.MAX_MESSAGE,
  SNAPSHOT: guest.MAX_SNAPSHOT,
  WATCHES: guest.MAX_WATCHES,
  SLOT: guest.SLOT_BYTES,
  SLOT_LEAST: guest.SLOT_LEAST,
  SLOTS_MOST: guest.WIDEST.slots,
  CHANNELS: guest.MAX_CHANNELS,
  LINE_PCI_SLOT,
  CHANNEL_PCI_SLOT: FIRST_PCI_SLOT,
  COUNTS: guest.HOST_HEARS_COUNTS,
  WIDE: guest.HOST_IS_WIDE,
  MORE: guest.Flag.more,
  FIN: guest.Flag.eof,
  MEMORY: guest.Flag.memory,
  BARE: guest.Flag.bare,
  ...named('H_', guest.ToGuest),
  ...named('G_', guest.ToHost),
};

const SHIM: Stated = { FIRST_PASSED: FIRST_PASSED_FD, MEMORY_FD: SHIM_MEMORY_FD };

const RING: Stated = {
  ...named('PK_RING_', {
    version: ring.VERSION,
    headerBytes: ring.HEADER_BYTES,
    leastData: ring.LEAST_DATA_BYTES,
    mostData: ring.MOST_DATA_BYTES,
    message: ring.MESSAGE >>> 0,
    wrap: ring.WRAP >>> 0,
    length: ring.LENGTH_MASK,
    awake: ring.AWAKE,
    asleep: ring.ASLEEP,
    gone: ring.GONE,
    detached: ring.DETACHED,
    open: ring.OPEN,
    closed: ring.CLOSED,
    error: ring.ERROR,
    badCommit: ring.BAD_COMMIT,
    badPosition: ring.BAD_POSITION,
    badState: ring.BAD_STATE,
    usurped: ring.USURPED,
    removed: ring.REMOVED,
  }),
  ...side('producer', ring.PRODUCER),
  ...side('consumer', ring.CONSUMER),
};

function side(name: string, { statistics, wakeAt, ...offsets }: ring.SideOffsets): Stated {
  const at = (member: string) => `offsetof(struct pk_ring_header, ${name}.${member})`;
  return Object.fromEntries(
    Object.entries({ ...offsets, wake_at: wakeAt, messages: statistics }).map(([member, offset]) => [
      at(member),
      offset,
    ]),
  );
}

test('C and TypeScript agree on what they share', async () => {
  const stated = { ...GUEST, ...SHIM, ...RING };
  const faults = Object.keys(ring.FAULTS).map(Number);
  // One beyond the last, too: a new fault is in both.
  const texts = [...faults, faults.length + 1];
  const said = await print([
    ...Object.keys(stated).map((expression) => `printf("%lld\\n", (long long)(${expression}))`),
    ...texts.map((fault) => `puts(pk_ring_fault_text(${fault}))`),
  ]);
  const numbers = said.slice(0, Object.keys(stated).length).map(Number);
  expect(Object.fromEntries(Object.keys(stated).map((name, index) => [name, numbers[index]]))).toEqual(stated);
  expect(said.slice(numbers.length)).toEqual([...Object.values(ring.FAULTS), 'the ring is in error']);
});

/** The lines that a program of these statements prints. */
async function print(statements: readonly string[]): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-constants-'));
  try {
    const [source, program] = [join(directory, 'constants.c'), join(directory, 'constants')];
    const includes = HEADERS.map((header) => `#include "${NATIVE}/${header}"\n`).join('');
    writeFileSync(source, `#include <stdio.h>\n${includes}int main(void)\n{\n${statements.join(';\n')};\n}\n`);
    const { argv, env } = findCompiler(directory);
    const compiled = await run([...argv, '-std=gnu11', '-static', '-o', program, source], { env });
    if (compiled.code !== 0) throw new Error(compiled.stderr);
    return (await run([program])).stdout.trimEnd().split('\n');
  } finally {
    rmSync(directory, { recursive: true });
  }
}
