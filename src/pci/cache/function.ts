/**
 * One function's configuration space through a cache. INVARIANTS: a byte of class N is never kept; a known byte of class S is what
 * hardware would answer; one of class W too while nobody else writes (`owned`), else as of at most `boundMs` ago. After anything
 * that may have been a reset, bytes of class S are served again only once the function has proved to be the same one.
 */
import { PolykernelError } from '../../sys/errors.ts';
import type { Access, Signal } from '../access.ts';
import { type Decoded, type DecodeOptions, decode, type Piece } from '../decode.ts';
import { type Layout, readLayout } from '../layout.ts';
import { EXTENDED_ID, ID } from '../rules/index.ts';
import { allOnes, checkPlace, Reading, type Source, type Width } from '../source.ts';
import { find } from '../walk.ts';
import { type Alike, alikeOf, type Saved } from './alike.ts';
import { identityOf, notZero, specifiedOf, startsOf } from './constants.ts';
import { type Consequence, type Effects, effectsOf } from './effects.ts';
import { Power } from './power.ts';
import { Shadow } from './shadow.ts';
import { noStatistics, type Statistics } from './statistics.ts';

/** The other functions of its bus, for one of them. */
export interface Neighbours {
  /** Something happened to the virtual functions of `address`, or to all below it. */
  tell(address: string, consequence: Consequence): void;
  /** Whether function 0 of the device of `address` is known to have no groups of functions. */
  ungrouped(address: string): boolean;
}

export interface CacheOptions {
  /** Longest age of what others may have written, in milliseconds. */
  boundMs: number;
  /** Milliseconds, never going back. */
  now(): number;
  neighbours?: Neighbours;
  /** Of several functions together. */
  statistics?: Statistics;
}

/** What others did to a function that the cache cannot see by itself. */
export type Happening = 'reset' | 'power' | 'driver' | 'removed' | 'vfs' | 'vectors';

/** A completer that is not ready yet (PCIe 2.3.2, CRS Software Visibility). */
const RETRY = 0xffff0001;

export class CachedFunction implements Source {
  readonly statistics: Statistics;
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
  readonly #power = new Power();
  /** What was known from before, as long as that and nothing else is constant. */
  #restored: Alike | undefined;
  #hasList: boolean | undefined;

  constructor(access: Access, options: CacheOptions) {
    this.access = access;
    this.#options = options;
    this.statistics = options.statistics ?? noStatistics();
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
  get #isVirtual(): boolean {
    return this.access.physicalFunction !== undefined;
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
    const value = known ?? this.#miss([{ offset, width }])[0];
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
    if (layout !== undefined && effects.does.has('power'))
      if (this.#power.losesContext(layout, offset, value, (at) => this.#ask(at, 1))) effects.does.add('reset');
    if (effects.does.has('reset')) this.statistics.resets += 1;
    const forget = () => this.#forget(offset, width, value, effects);
    forget();
    try {
      this.access.write(offset, width, value);
    } finally {
      // A reader in between has asked for what was there before.
      forget();
      if (effects.does.has('power')) this.#power.written(this.#options.now());
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
    if (layout === undefined) return undefined;
    return this.#decodeAlike(layout, options.registers === true) ?? decode(this, { ...options, layout });
  }

  /** Class of a byte, and whether its value is known now. */
  stateOf(at: number): { class: number; known: boolean } {
    this.layout();
    return { class: this.#shadow.classOf(at), known: this.#known(at, 1) !== undefined };
  }

  /** A known byte that nobody else may have changed since. */
  sure(at: number): number | undefined {
    return this.#owned || this.#shadow.isConstant(at, 1) ? this.#known(at, 1) : undefined;
  }

  /** What may outlive this process; undefined while there is nothing that is sure. */
  save(): Saved | undefined {
    if (this.#layout === undefined || this.#isDoubtful || this.#signal === undefined) return undefined;
    if (this.#restored !== undefined) return { signal: this.#signal, constants: this.#restored.constants };
    const hasList = this.#layout.capabilities.length > 0 || this.#hasList === true;
    return { signal: this.#signal, constants: { hasList, runs: this.#shadow.constants() } };
  }

  /** Takes over what save() gave, if the function is still the same one in the same state. */
  restore({ signal, constants }: Saved): boolean {
    const now = this.access.signal?.();
    if (now === undefined || now.device !== signal.device || now.state !== signal.state) return false;
    this.#restored = alikeOf(constants, this.size, this.#isVirtual);
    if (this.#restored === undefined) return false;
    this.#shadow.takeOver(this.#restored.constant);
    this.#hasList = constants.hasList;
    this.#signal = now;
    this.#looked = this.#options.now();
    this.statistics.restored += 1;
    return true;
  }

  #known(offset: number, width: Width): number | undefined {
    return this.#isDoubtful ? undefined : this.#shadow.get(offset, width, this.#since());
  }

  /** When what can be written has to have been asked for. */
  #since(): number {
    return this.#owned ? Number.NEGATIVE_INFINITY : this.#options.now() - this.#options.boundMs;
  }

  /**
   * What decode() would give, from what others share: of the hardware comes only what is not constant. Undefined where constants are not
   * those that were known from before, all of them and no others.
   */
  #decodeAlike(layout: Layout, registers: boolean): Decoded | undefined {
    const shown = this.#restored?.shown(layout, registers);
    if (!shown?.isWhole) return undefined;
    const { hardwareReads } = this.statistics;
    const values = shown.values(this.#shadow, this.#since(), (dwords) => this.#miss(dwords));
    this.statistics.totalReads += shown.places;
    this.statistics.hits += shown.places - (this.statistics.hardwareReads - hardwareReads);
    return shown.decode(values);
  }

  /** Asks for all of these in one go, and keeps what may be kept of them. */
  #miss(places: readonly Piece[]): (number | undefined)[] {
    const { hardwareMs } = this.statistics;
    const generation = this.#generation;
    const asked = this.#options.now();
    const values = this.#askAll(places);
    const each = (this.statistics.hardwareMs - hardwareMs) / places.length;
    const isSure = this.#layout !== undefined && !this.#isDoubtful && generation === this.#generation;
    for (const [index, { offset, width }] of places.entries()) {
      if (this.#shadow.isCacheable(offset, width)) {
        this.statistics.misses += 1;
        this.statistics.missMs += each;
      } else this.statistics.uncachableReads += 1;
      if (isSure) this.#keep(offset, width, values[index], asked);
    }
    return values;
  }

  /** All ones is no value but the lack of one; nor is a zero what is none, or a state what may not be there yet. */
  #keep(offset: number, width: Width, value: number | undefined, asked: number): void {
    if (value === undefined || value === allOnes(width) || (offset === 0 && value === RETRY)) return;
    const layout = this.#layout!;
    const doubtful =
      notZero(layout, offset, width, value, (at, bytes) => this.#shadow.get(at, bytes)) |
      this.#power.unsettled(layout, offset, width, asked);
    this.#put(offset, width, value, asked, doubtful);
  }

  #put(offset: number, width: Width, value: number, asked = 0, doubtful = 0): void {
    if (this.#shadow.put(offset, width, value, asked, doubtful)) this.#restored = undefined;
  }

  #ask(offset: number, width: Width): number | undefined {
    return this.#askAll([{ offset, width }])[0];
  }

  #askAll(places: readonly Piece[]): (number | undefined)[] {
    const began = performance.now();
    const values: (number | undefined)[] = [];
    for (const { offset, width } of places) {
      this.statistics.hardwareReads += 1;
      if (this.#shadow.isConstant(offset, width)) this.statistics.constantReads += 1;
      values.push(this.access.read(offset, width));
    }
    this.statistics.hardwareMs += performance.now() - began;
    return values;
  }

  /** Walks the chains through what is known, and keeps what it had to ask for. */
  #infer(): Layout | undefined {
    if (this.#restored?.layout !== undefined) {
      this.#shadow.classify(this.#restored.layout);
      return this.#restored.layout;
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
    const { physicalFunction } = this.access;
    const layout = readLayout(reading, {
      hasList: this.#hasList,
      virtual: this.#isVirtual,
      ungrouped: () => this.#options.neighbours?.ungrouped(physicalFunction!) === true,
    });
    if (layout === undefined) return undefined;
    // What a proof after a reset is held against has to be known before.
    for (const place of identityOf(layout, this.#isVirtual)) reading.read(place, 4);
    if (generation !== this.#generation) return undefined;
    this.#shadow.classify(layout);
    // Of older rules, under which other bytes were constant.
    if (this.#shadow.dropOthers()) this.#restored = undefined;
    this.#layout = layout;
    for (const each of taken) this.#keep(...each);
    for (const each of specifiedOf(layout, this.#isVirtual)) this.#put(...each);
    if (this.#restored !== undefined && taken.length === 0) this.#restored.layout = layout;
    return layout;
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
    for (const place of identityOf(this.#layout, this.#isVirtual)) {
      const value = this.#ask(place, 4);
      if (value === allOnes(4) || value === RETRY || generation !== this.#generation) return;
      if (value !== undefined && this.#shadow.get(place, 4) === value) continue;
      this.forgetAll();
      return;
    }
    this.#isDoubtful = false;
  }

  #forget(offset: number, width: number, value: number, { drops, does }: Effects): void {
    this.#changed(() => {
      let dropped = false;
      for (let index = 0; index < width; index++) {
        const at = offset + index;
        const byte = (value >>> (8 * index)) & 0xff & ~startsOf(this.#layout, at);
        // What is there already is there afterwards: bits that a one clears or that start something read as zero, or are of class N.
        if (this.#shadow.get(at, 1) !== byte) dropped = this.#shadow.drop(at, 1) || dropped;
      }
      for (const [at, length] of drops) dropped = this.#shadow.drop(at, length) || dropped;
      return dropped;
    });
    if (does.has('reset')) this.#reset();
    for (const consequence of does)
      if (consequence !== 'reset' && consequence !== 'power') this.#options.neighbours?.tell(this.address, consequence);
  }

  #reset(): void {
    this.#power.reset();
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
