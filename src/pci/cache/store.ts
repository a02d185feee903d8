/**
 * What is kept between processes: constant bytes, as a text whose first line has version and digest. It counts for one boot of the
 * machine, and of each function only while it is the same object of the kernel in the same state. Whatever is wrong with it, it is
 * dropped: what it would save is a few reads.
 */
import { createHash } from 'node:crypto';
import { chmodSync, closeSync, fstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { openRegular } from '../../sys/read-at.ts';
import { isPciAddress } from '../../topology/pci-address.ts';
import type { Constants, Saved } from './alike.ts';
import type { Run } from './shadow.ts';
import { addStatistics, noStatistics, type Statistics } from './statistics.ts';

export interface Stored {
  functions: Map<string, Saved>;
  /** Of all processes since the last flush. */
  statistics: Statistics;
}

export const STORE_VERSION = 'polykernel-pci 3';
/** 65,536 functions of 1 KiB. */
const MOST_BYTES = 64 * 1024 * 1024;

export const emptyStore = (): Stored => ({ functions: new Map(), statistics: noStatistics() });

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Functions with the same constants in the same state: each by its address, then what it is. */
type Group = [state: string, constants: number, functions: string[]];

/** The text of a store, which counts for the boot named `boot`. Functions that are alike share what is constant. */
export function encodeStore({ functions, statistics }: Stored, boot: string): string {
  const places = new Map<Constants, number>();
  const texts = new Map<string, number>();
  const placeOf = (constants: Constants): number => {
    const runs = constants.runs.map(({ offset, bytes }) => [offset, Buffer.from(bytes).toString('hex')]);
    const text = JSON.stringify([constants.hasList, runs]);
    const place = texts.get(text) ?? texts.size;
    texts.set(text, place);
    places.set(constants, place);
    return place;
  };
  const groups = new Map<string, Group>();
  for (const [address, { signal, constants }] of functions) {
    const place = places.get(constants) ?? placeOf(constants);
    const key = `${place} ${signal.state}`;
    const group = groups.get(key) ?? [signal.state, place, []];
    groups.set(key, group);
    group[2].push(address, signal.device);
  }
  const parts = [boot, statistics, [...groups.values()]].map((part) => JSON.stringify(part));
  const body = `{"boot":${parts[0]},"statistics":${parts[1]},"functions":${parts[2]},"constants":[${[...texts.keys()]}]}`;
  return `${STORE_VERSION} ${digest(body)}\n${body}`;
}

/** Undefined unless it is whole, of this version and of the boot named `boot`. */
export function decodeStore(text: string, boot: string): Stored | undefined {
  const end = text.indexOf('\n');
  const body = text.slice(end + 1);
  if (end < 0 || text.slice(0, end) !== `${STORE_VERSION} ${digest(body)}`) return undefined;
  try {
    const found = JSON.parse(body) as Record<string, unknown>;
    if (found.boot !== boot || !Array.isArray(found.functions) || !Array.isArray(found.constants)) return undefined;
    const store = emptyStore();
    for (const key of Object.keys(store.statistics) as (keyof Statistics)[]) {
      const value = (found.statistics as Statistics)[key];
      if (!Number.isFinite(value) || value < 0) return undefined;
      store.statistics[key] = value;
    }
    const constants = found.constants.map(constantsOf);
    if (constants.includes(undefined)) return undefined;
    return found.functions.every((group) => addGroup(store.functions, group, constants)) ? store : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it is one, of functions that are not there yet. */
function addGroup(to: Map<string, Saved>, group: unknown, all: readonly (Constants | undefined)[]): boolean {
  if (!Array.isArray(group) || group.length !== 3) return false;
  const [state, place, functions] = group as unknown[];
  const constants = Number.isSafeInteger(place) ? all[place as number] : undefined;
  if (typeof state !== 'string' || constants === undefined || !Array.isArray(functions)) return false;
  for (let index = 0; index < functions.length; index += 2) {
    const [address, device] = [functions[index], functions[index + 1]] as unknown[];
    if (typeof address !== 'string' || !isPciAddress(address) || to.has(address)) return false;
    if (typeof device !== 'string') return false;
    to.set(address, { signal: { device, state }, constants });
  }
  return true;
}

function constantsOf(row: unknown): Constants | undefined {
  const [hasList, runs] = Array.isArray(row) ? (row as unknown[]) : [];
  if (typeof hasList !== 'boolean' || !Array.isArray(runs)) return undefined;
  const read: Run[] = [];
  let last = 0;
  for (const run of runs) {
    const [offset, hex] = Array.isArray(run) ? (run as unknown[]) : [];
    if (!Number.isSafeInteger(offset) || typeof hex !== 'string' || !/^(?:[\da-f]{2})+$/.test(hex)) return undefined;
    const bytes = new Uint8Array(Buffer.from(hex, 'hex'));
    if ((offset as number) < last || (offset as number) + bytes.length > 4096) return undefined;
    last = (offset as number) + bytes.length;
    read.push({ offset: offset as number, bytes });
  }
  return { hasList, runs: read };
}

/** What is stored at `path` and counts; nothing when it is absent, of others, or wrong in any way. */
export function readStore(path: string, boot: string): Stored {
  let fd: number | undefined;
  try {
    fd = openRegular(path);
    if (fd === undefined) return emptyStore();
    const { uid, mode, size } = fstatSync(fd);
    // Who could write it could say what devices are.
    if (uid !== process.getuid?.() || (mode & 0o022) !== 0 || size > MOST_BYTES) return emptyStore();
    return decodeStore(readFileSync(fd, 'utf8'), boot) ?? emptyStore();
  } catch {
    return emptyStore();
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Replaces what is stored, whole. Throws as writing does. */
export function writeStore(path: string, stored: Stored, boot: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.${process.pid}`;
  try {
    writeFileSync(next, encodeStore(stored, boot), { mode: 0o600, flag: 'wx' });
    chmodSync(next, 0o600);
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}

/** What both processes know: the later one's word counts for functions it has looked at. */
export function mergeStores(before: Stored, functions: Map<string, Saved>, more: Statistics): Stored {
  const statistics = { ...before.statistics };
  addStatistics(statistics, more);
  const all = new Map(before.functions);
  for (const [address, saved] of functions) all.set(address, saved);
  return { functions: all, statistics };
}
