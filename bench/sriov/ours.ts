/** Our own cache on a recorded life: the product's code, on a function that answers what was recorded. */
import type { Access } from '../../src/pci/access.ts';
import { CachedFunction } from '../../src/pci/cache/function.ts';
import type { Width } from '../../src/pci/source.ts';
import { noneServed, type Served, went } from './rfc.ts';
import type { Recorded, Trace } from './trace.ts';

/** Of Power Management, in the function that was recorded. */
const POWER_STATE = 0x64;
const SETTLE_MS = 10;

/**
 * Replays a trace as a cache that sees every access would be used: all that the function is told goes through it. Resets are honoured,
 * and what it reads for itself counts against it.
 */
export function replayOurs({ image, accesses }: Trace): Served {
  const function_ = new RecordedFunction(image);
  let now = 0;
  const cached = new CachedFunction(function_, { boundMs: 1000, now: () => now });
  // Of one who sees every write, nothing that was written by others is ever unknown.
  cached.owned = true;
  const served = noneServed();
  for (const access of accesses) {
    if (access.kind === 'write') {
      cached.write(access.offset, access.width, access.value);
      // After a write of the power state Linux waits as long as a device may take (pci_dev_d3_sleep).
      if (access.offset === POWER_STATE) now += SETTLE_MS;
      continue;
    }
    function_.answersNow(access);
    served.reads += 1;
    // What there is is found out with the first read, and proved after a reset: of its own account.
    cached.layout();
    const before = function_.reads;
    const value = cached.read(access.offset, access.width);
    if (function_.reads > before) went(served, access);
    else {
      served.hits += 1;
      if (value !== access.value) served.stale += 1;
    }
  }
  served.own = function_.reads - (served.reads - served.hits);
  return served;
}

class RecordedFunction implements Access {
  readonly address = '0000:01:00.2';
  readonly physicalFunction = '0000:01:00.0';
  readonly size = 4096;
  reads = 0;
  readonly #view: DataView;

  constructor(image: Uint8Array) {
    this.#view = new DataView(image.slice().buffer);
  }

  answersNow({ offset, width, value }: Recorded): void {
    for (let index = 0; index < width; index++)
      this.#view.setUint8(offset + index, Math.floor(value / 2 ** (8 * index)) & 0xff);
  }

  read(offset: number, width: Width): number {
    this.reads += 1;
    if (width === 1) return this.#view.getUint8(offset);
    return width === 2 ? this.#view.getUint16(offset, true) : this.#view.getUint32(offset, true);
  }

  write(): void {}
  close(): void {}
}
