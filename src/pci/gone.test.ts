/** A device that goes away while it is read. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { addressOf, dumpOf, rowImages } from '../../test/support/pci-images.ts';
import { PolykernelError } from '../sys/errors.ts';
import { dumpPlace } from './dump-place.ts';
import { openConfigSpace } from './index.ts';
import type { Place } from './place.ts';

it('is an error that says so, and nothing of what was half read is kept', () => {
  const images = rowImages(1).slice(-3);
  const all = dumpPlace(dumpOf(images.map(({ bytes }) => bytes)));
  const address = addressOf(0);
  const whole = openConfigSpace({ place: all }).function(address).decode({ registers: true });
  let reads = 0;
  let most = Number.POSITIVE_INFINITY;
  const place: Place = {
    ...all,
    open(of) {
      const access = all.open(of);
      const read = access.read.bind(access);
      access.read = (offset, width) => {
        if (++reads > most) throw new PolykernelError('unavailable', `PCI function ${of} does not answer`);
        return read(offset, width);
      };
      return access;
    },
  };
  using uncut = openConfigSpace({ place });
  uncut.function(address).decode({ registers: true });
  const needed = reads;
  for (most = 0; most < needed; most++) {
    reads = 0;
    using space = openConfigSpace({ place });
    const at = most;
    expect(() => space.function(address).decode({ registers: true }), `read ${at}`).toThrow(
      expect.objectContaining({ code: 'unavailable' }),
    );
    most = Number.POSITIVE_INFINITY;
    expect(space.function(address).decode({ registers: true })).toEqual(whole);
    most = at;
  }
});

it('so it is where the kernel fails the read of its file', () => {
  const root = mkdtempSync(join(tmpdir(), 'pk-gone-'));
  try {
    // Reading a directory fails, as reading the file of a device that is gone.
    mkdirSync(join(root, 'sys/bus/pci/devices/0000:3b:00.0/config'), { recursive: true });
    using space = openConfigSpace({ root });
    expect(() => space.function('0000:3b:00.0').decode()).toThrow(
      expect.objectContaining({
        code: 'unavailable',
        message: expect.stringMatching(/does not answer: .*: it is a directory$/),
      }),
    );
    const elsewhere = openConfigSpace({ root: join(root, 'sys') });
    expect(() => elsewhere.addresses()).toThrow(/no PCI bus: .* failed: no such file or directory$/);
  } finally {
    rmSync(root, { recursive: true });
  }
});

it.each([0, 10, 63])('a configuration space of %i bytes is told as what it is: cut short', (bytes) => {
  const root = mkdtempSync(join(tmpdir(), 'pk-gone-'));
  try {
    const directory = join(root, 'sys/bus/pci/devices/0000:3b:00.0');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'config'), new Uint8Array(bytes));
    using space = openConfigSpace({ root });
    expect(() => space.function('0000:3b:00.0')).toThrow(
      expect.objectContaining({
        code: 'invalid',
        field: '--root',
        message: expect.stringContaining(`cut short: ${bytes} bytes`),
      }),
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});
