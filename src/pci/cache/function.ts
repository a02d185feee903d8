/**
 * One function's configuration space through a cache. INVARIANTS: a byte of class N is never kept; a known byte of class S is what
 * hardware would answer; one of class W too while nobody else writes (`owned`), else as of at most `boundMs` ago. After anything
 * that may have been a reset, bytes of class S are served again only once the function has proved to be the same one.
 */
import { PolykernelError } from '../../sys/errors.ts';
import type { Access, Signal } from '../access.ts';
import { type Decoded, type DecodeOptions, decode } from '../decode.ts';
import { type Layout, readLayout } from '../layout.ts';
import { VIRTUAL_ZEROS } from '../rules/header.ts';
import { EXTENDED_ID, ID } from '../rules/index.ts';
import { allOnes, Reading, type Source, type Width } from '../source.ts';
import { find, serialNumber } from '../walk.ts';
import { type Consequence, type Effects, effectsOf } from './effects.ts';
import { type Run, Shadow } from './shadow.ts';
import { noStatistics, type Statistics } from './statistics.ts';

/** What a function tells the others of its bus. */
export interface Neighbours {
  /** Something happened to the virtual functions of `address`, or to all below it. */
  tell(address: string, consequence: Consequence): void;
}

export interface CacheOptions {
  /** Longest age of what others may have written, in milliseconds. */
  boundMs: number;
  /** Milliseconds, never going back. */
  now(): number;
  neighbours?: Neighbours;
}

/** Constant bytes of a function. Those that are alike are one object where they were stored: thousands of virtual functions are. */
export interface Constants {
  /** Bit 4 of Status, which is constant in a register that is not. */
  readonly hasList: boolean;
  readonly runs: readonly Run[];
}

/** What outlives a process of one function. */
export interface Saved {
  readonly signal: Signal;
  readonly constants: Constants;
}

/** The layout that such constant bytes led to without any other being read, of a function of the same size and kind. */
const INFERRED = new WeakMap<Constants, { layout: Layout; size: number; isVirtual: boolean }>();

/** What others did to a function that the cache cannot see by itself. */
export type Happening = 'reset' | 'power' | 'driver' | 'removed' | 'vfs' | 'vectors';

/** Of Power Management Control/Status (PCIe 7.5.2.2). */
const POWER_STATE = 0x03;
const NO_SOFT_RESET = 0x08;
/** So long a device may still show the state in which it was before (PCIe 5.9). */
const SETTLE_MS = 10;

/** A completer that is not ready yet (PCIe 2.3.2, CRS Software Visibility). */
const RETRY = 0xffff0001;

function checkPlace(offset: number, width: Width): void {
  if ([1, 2, 4].includes(width) && Number.isSafeInteger(offset / width) && offset >= 0) return;
  throw new PolykernelError('invalid', `offset: ${offset} is no place for ${width} bytes in a configuration space`, {
    field: 'offset',
    value: offset,
    hint: 'It must be a multiple of the width, which is 1, 2 or 4.',
  });
}

export class CachedFunction implements Source {
  readonly statistics: Statistics = noStatistics();
  readonly access: Access;
  readonly #options: CacheOptions;
  readonly #shadow: Shadow;
  #layout: Layout | undefined;
  /** Grows with all that makes known bytes doubtful; what was asked for before is not kept after. */
  #generation = 0;
  #owned = false;
  /** Something like a reset happened: constant bytes are to be proved. */
  #isDoubtful = false;
  #signal: Signal | undefined;
  #looked = Number.NEGATIVE_INFINITY;
  /** In which it was put last; after a reset D0. */
  #powerState = 0;
  /** Until then what it says of its state is not kept. */
  #settled = Number.NEGATIVE_INFINITY;
  /** What was known from before, as long as nothing else is constant. */
  #restored: Constants | undefined;
  #hasList: boolean | undefined;

  constructor(access: Access, options: CacheOptions) {
    this.access = access;
    this.#options = options;
    this.#shadow = new Shadow(access.size);
  }

  get address(): string {
    return this.access.address;
  }
  get size(): number {
    return this.access.size;
  }
  get owned(): boolean {
    return this.#owned;
  }

  /** Whether nobody else writes: then what was written or read stays known. What was known until now may be older: dropped. */
  set owned(owned: boolean) {
    if (owned === this.#owned) return;
    this.#owned = owned;
    this.#changed(() => this.#shadow.dropWritable());
  }

  /** What is there, found out once; undefined while nobody answers. */
  layout(): Layout | undefined {
    this.#look();
    this.#prove();
    if (this.#isDoubtful) return undefined;
    this.#layout ??= this.#infer();
    return this.#layout;
  }

  /**
   * The number at `offset`, a multiple of `width`; undefined beyond what can be read. `fresh`: of the hardware in any case.
   * Throws `unavailable` when the device is gone, `invalid` for a place that is none.
   */
  read(offset: number, width: Width, fresh = false): number | undefined {
    checkPlace(offset, width);
    const began = performance.now();
    this.layout();
    this.statistics.totalReads += 1;
    const known = fresh ? undefined : this.#known(offset, width);
    if (known !== undefined) this.statistics.hits += 1;
    const value = known ?? this.#miss(offset, width);
    this.statistics.readMs += performance.now() - began;
    return value;
  }

  kept(offset: number, width: Width): number | undefined {
    const known = this.layout() === undefined ? undefined : this.#known(offset, width);
    if (known === undefined) return undefined;
    this.statistics.totalReads += 1;
    this.statistics.hits += 1;
    return known;
  }

  /** Writes through, and forgets each byte written and all that shows something else by it, before and after. */
  write(offset: number, width: Width, value: number): void {
    checkPlace(offset, width);
    if (this.access.write === undefined) {
      throw new PolykernelError('unsupported', `${this.address} is of a dump or a snapshot: it can only be read`, {
        field: 'address',
        value: this.address,
      });
    }
    // Without a layout nobody knows what it does.
    const layout = this.layout();
    const effects: Effects = layout
      ? effectsOf(layout, offset, width, value)
      : { drops: [], does: new Set<Consequence>(['reset', 'vfs-gone', 'below-gone']) };
    this.statistics.writes += 1;
    if (layout !== undefined && effects.does.has('power') && this.#losesContext(layout, offset, value))
      effects.does.add('reset');
    if (effects.does.has('reset')) this.statistics.resets += 1;
    const forget = () => this.#forget(offset, width, value, effects);
    forget();
    try {
      this.access.write(offset, width, value);
    } finally {
      // A reader in between has asked for what was there before.
      forget();
      if (effects.does.has('power')) this.#settled = this.#options.now() + SETTLE_MS;
    }
  }

  /** Something was done to the function by others: the kernel, a driver, a guest. */
  note(happening: Happening): void {
    const { neighbours } = this.#options;
    if (happening === 'removed') {
      this.forgetAll();
      for (const does of ['vfs-gone', 'below-gone'] as const) neighbours?.tell(this.address, does);
    } else if (happening === 'vectors') {
      // The physical function gave it more or fewer interrupts (PCIe 7.7.2.2, Table Size).
      this.#dropCapability(ID.msix, false);
    } else if (happening === 'vfs') {
      this.#dropCapability(EXTENDED_ID.sriov, true);
      neighbours?.tell(this.address, 'vfs-gone');
    } else {
      this.doubt();
      for (const does of ['vfs-reset', 'below-reset'] as const) neighbours?.tell(this.address, does);
    }
  }

  /** As after a reset of the function. */
  doubt(): void {
    this.statistics.resets += 1;
    this.#reset();
  }

  /** All that is known, the layout too. */
  forgetAll(): void {
    this.#changed(() => this.#shadow.dropAll());
    this.#layout = undefined;
    this.#hasList = undefined;
    this.#isDoubtful = false;
  }

  /** Undefined when nobody answers. Reads only what is needed and not known. */
  decode(options: Omit<DecodeOptions, 'layout'> = {}): Decoded | undefined {
    const layout = this.layout();
    return layout === undefined ? undefined : decode(this, { ...options, layout });
  }

  /** Class of a byte, and whether its value is known now. */
  stateOf(at: number): { class: number; known: boolean } {
    this.layout();
    return { class: this.#shadow.classOf(at), known: this.#known(at, 1) !== undefined };
  }

  /** Known dwords that nobody else may have changed since, with a mask of the bytes that count. */
  *keptDwords(): Generator<{ offset: number; mask: number; value: number }> {
    for (let offset = 0; offset < this.size; offset += 4) {
      let mask = 0;
      for (let index = 0; index < 4; index++) if (this.#isSure(offset + index)) mask += 0xff * 2 ** (8 * index);
      if (mask !== 0) yield { offset, mask, value: this.#shadow.value(offset, 4) };
    }
  }

  /** What may outlive this process; undefined while there is nothing that is sure. */
  save(): Saved | undefined {
    if (this.#layout === undefined || this.#isDoubtful || this.#signal === undefined) return undefined;
    const hasList = this.#layout.capabilities.length > 0 || this.#hasList === true;
    return { signal: this.#signal, constants: this.#restored ?? { hasList, runs: this.#shadow.constants() } };
  }

  /** Takes over what save() gave, if the function is still the same one in the same state. */
  restore({ signal, constants }: Saved): boolean {
    const now = this.access.signal?.();
    if (now === undefined || now.device !== signal.device || now.state !== signal.state) return false;
    if (constants.runs.some(({ offset, bytes }) => offset + bytes.length > this.size)) return false;
    this.#shadow.takeOver(constants.runs);
    this.#restored = constants;
    this.#hasList = constants.hasList;
    this.#signal = now;
    this.#looked = this.#options.now();
    this.statistics.restored += 1;
    return true;
  }

  #known(offset: number, width: Width): number | undefined {
    if (this.#isDoubtful) return undefined;
    const since = this.#owned ? Number.NEGATIVE_INFINITY : this.#options.now() - this.#options.boundMs;
    return this.#shadow.get(offset, width, since);
  }

  #isSure(at: number): boolean {
    return (this.#owned || this.#shadow.isConstant(at, 1)) && this.#known(at, 1) !== undefined;
  }

  #miss(offset: number, width: Width): number | undefined {
    const isCacheable = this.#shadow.isCacheable(offset, width);
    if (isCacheable) this.statistics.misses += 1;
    else this.statistics.uncachableReads += 1;
    const began = performance.now();
    const generation = this.#generation;
    const asked = this.#options.now();
    const value = this.#ask(offset, width);
    if (isCacheable) this.statistics.missMs += performance.now() - began;
    const isSure = this.#layout !== undefined && !this.#isDoubtful && generation === this.#generation;
    if (isSure) this.#keep(offset, width, value, asked);
    return value;
  }

  /** All ones is no value but the lack of one. */
  #keep(offset: number, width: Width, value: number | undefined, asked: number): void {
    if (value === undefined || value === allOnes(width) || (offset === 0 && value === RETRY)) return;
    if (this.#isNotToKeep(offset, width, value, asked)) return;
    this.#put(offset, width, value, asked);
  }

  #put(offset: number, width: Width, value: number, asked = 0): void {
    if (this.#shadow.put(offset, width, value, asked)) this.#restored = undefined;
  }

  /** What is no zero where by the specification one is, and a state that may not be there yet. */
  #isNotToKeep(offset: number, width: Width, value: number, asked: number): boolean {
    if (this.#layout === undefined) return false;
    const { zeros, capabilities } = this.#layout;
    for (let index = 0; index < width; index++)
      if (zeros.has(offset + index) && (Math.floor(value / 2 ** (8 * index)) & 0xff) !== 0) return true;
    const power = asked < this.#settled ? find(capabilities, ID.power) : undefined;
    return power !== undefined && offset < power.offset + 6 && offset + width > power.offset + 4;
  }

  #ask(offset: number, width: Width): number | undefined {
    const began = performance.now();
    this.statistics.hardwareReads += 1;
    if (this.#shadow.isConstant(offset, width)) this.statistics.constantReads += 1;
    const value = this.access.read(offset, width);
    this.statistics.hardwareMs += performance.now() - began;
    return value;
  }

  /** Walks the chains through what is known, and keeps what it had to ask for. */
  #infer(): Layout | undefined {
    const isVirtual = this.access.physicalFunction !== undefined;
    const inferred = this.#restored === undefined ? undefined : INFERRED.get(this.#restored);
    if (inferred?.size === this.size && inferred.isVirtual === isVirtual) {
      this.#shadow.classify(inferred.layout);
      return inferred.layout;
    }
    const taken: [offset: number, width: Width, value: number | undefined, asked: number][] = [];
    const generation = this.#generation;
    const source: Source = {
      size: this.size,
      kept: (offset, width) => this.#shadow.get(offset, width, Number.POSITIVE_INFINITY),
      read: (offset, width) => {
        const asked = this.#options.now();
        const value = this.#ask(offset, width);
        taken.push([offset, width, value, asked]);
        return value;
      },
    };
    const reading = new Reading(source);
    const layout = readLayout(reading, { hasList: this.#hasList, virtual: isVirtual });
    if (layout === undefined) return undefined;
    // What a proof after a reset is held against has to be known before.
    for (const place of this.#identity(layout)) reading.read(place, 4);
    if (generation !== this.#generation) return undefined;
    this.#shadow.classify(layout);
    this.#shadow.dropOthers();
    for (const each of taken) this.#keep(...each);
    this.#putSpecified(layout, isVirtual);
    // Of older rules, under which other bytes were constant.
    if (this.#restored !== undefined && !this.#shadow.holds(this.#restored.runs)) this.#restored = undefined;
    if (this.#restored !== undefined && taken.length === 0)
      INFERRED.set(this.#restored, { layout, size: this.size, isVirtual });
    return layout;
  }

  /** What is known without being read. */
  #putSpecified(layout: Layout, isVirtual: boolean): void {
    // All ones, as every virtual function says (PCIe 9.3.4.1.1).
    if (isVirtual) {
      this.#put(0, 4, 0xffffffff);
      if (layout.headerType === 0) for (const place of VIRTUAL_ZEROS) this.#put(place, 4, 0);
    }
    for (const { offset, registers } of layout.capabilities)
      for (const { at, bytes, isZero } of registers) if (isZero) this.#put(offset + at, bytes as Width, 0);
  }

  /** At most once in `boundMs`: did something happen that nobody told of? */
  #look(): void {
    if (this.access.signal === undefined) return;
    const now = this.#options.now();
    if (now - this.#looked < this.#options.boundMs) return;
    this.#looked = now;
    const before = this.#signal;
    this.#signal = this.access.signal();
    if (before === undefined) return;
    if (before.device !== this.#signal?.device) this.note('removed');
    else if (before.state !== this.#signal.state) this.note('driver');
  }

  /** Compares what identifies a function with what it says now. All ones: it is not back yet, and is asked again next time. */
  #prove(): void {
    if (!this.#isDoubtful) return;
    if (this.#layout === undefined) {
      this.forgetAll();
      return;
    }
    const generation = this.#generation;
    for (const place of this.#identity(this.#layout)) {
      const value = this.#ask(place, 4);
      if (value === allOnes(4) || value === RETRY || generation !== this.#generation) return;
      if (this.#shadow.isValid(place, 4) && this.#shadow.value(place, 4) === value) continue;
      this.forgetAll();
      return;
    }
    this.#isDoubtful = false;
  }

  /** Dwords by which a function is known again: ids, class and revision, subsystem, serial number. */
  #identity(layout: Layout): number[] {
    const serial = serialNumber(layout.capabilities);
    return [
      ...(this.access.physicalFunction === undefined ? [0x00] : []),
      0x08,
      ...(layout.headerType === 0 ? [0x2c] : []),
      ...(serial === undefined ? [] : [serial.offset + 4, serial.offset + 8]),
    ];
  }

  /**
   * Whether the function is to be taken for reset by this write of its power state. It is not if No_Soft_Reset says that its registers are
   * kept (PCIe 7.5.2.2), and it is still in the state in which it was put: one that was without power meanwhile is in D0.
   */
  #losesContext(layout: Layout, offset: number, value: number): boolean {
    const at = find(layout.capabilities, ID.power)!.offset + 4;
    const now = this.#ask(at, 1);
    const expected = this.#powerState;
    this.#powerState = Math.floor(value / 2 ** (8 * (at - offset))) & POWER_STATE;
    return now === undefined || now === allOnes(1) || (now & NO_SOFT_RESET) === 0 || (now & POWER_STATE) !== expected;
  }

  #forget(offset: number, width: number, value: number, { drops, does }: Effects): void {
    this.#changed(() => {
      let dropped = false;
      for (let index = 0; index < width; index++) {
        const starts = this.#layout?.zeros.get(offset + index) ?? 0;
        const byte = Math.floor(value / 2 ** (8 * index)) & 0xff & ~starts;
        // What is there already is there afterwards: bits that a one clears or that start something read as zero, or are of class N.
        const isSame = this.#shadow.isValid(offset + index) && this.#shadow.value(offset + index, 1) === byte;
        if (!isSame) dropped = this.#shadow.drop(offset + index, 1) || dropped;
      }
      for (const [at, length] of drops) dropped = this.#shadow.drop(at, length) || dropped;
      return dropped;
    });
    if (does.has('reset')) this.#reset();
    for (const consequence of does)
      if (consequence !== 'reset' && consequence !== 'power') this.#options.neighbours?.tell(this.address, consequence);
  }

  #reset(): void {
    this.#powerState = 0;
    this.#changed(() => this.#shadow.dropWritable());
    this.#isDoubtful = true;
  }

  #dropCapability(id: number, extended: boolean): void {
    const capability = find(this.layout()?.capabilities ?? [], id, extended);
    if (capability !== undefined) this.#changed(() => this.#shadow.drop(capability.offset + 2, capability.bytes - 2));
  }

  #changed(drop: () => unknown): void {
    this.#generation += 1;
    if (drop() === false) return;
    this.#restored = undefined;
    this.statistics.invalidations += 1;
  }
}
