/** Phandles in an overlay: its own are moved behind those of the tree, and those of the tree filled in. */
import { type DeviceNode, latin1, propertyOf, u32Of } from '../tree.ts';
import { type Draft, phandleOf } from './draft.ts';
import { overlayError } from './error.ts';
import type { Lookup } from './lookup.ts';
import { cString } from './symbols.ts';

const NO_PHANDLE = 0xffff_ffff;

/** Adds `most`, the largest phandle of the tree, to all of the overlay's own. */
export function moveOn(lookup: Lookup, overlay: Draft, most: number): void {
  for (const [node, path] of lookup.walk(overlay)) {
    for (const name of ['phandle', 'linux,phandle']) {
      const value = propertyOf(node, name);
      if (value === undefined) continue;
      const phandle = u32Of(value);
      if (phandle === undefined) throw overlayError(path, `its ${name} has ${value.length} bytes instead of 4`);
      if (phandle + most >= NO_PHANDLE) throw overlayError(path, 'no phandles are left behind those of the tree');
      put(value, 0, phandle + most);
    }
  }
}

/** `/__local_fixups__`: the same nodes and properties as in the overlay, with the offsets of phandles that are its own. */
export function fillLocal(lookup: Lookup, overlay: Draft, most: number): void {
  const fixups = lookup.child(overlay, '__local_fixups__');
  if (fixups !== undefined) fillNode(lookup, overlay, fixups, '', most);
}

function fillNode(lookup: Lookup, node: DeviceNode, fixups: DeviceNode, path: string, most: number): void {
  for (const { name, value: offsets } of fixups.properties) {
    const place = `/__local_fixups__${path}:${name}`;
    const value = lookup.property(node, name);
    if (value === undefined || offsets.length % 4 !== 0)
      throw overlayError(place, value === undefined ? 'there is no such property' : 'its length is no multiple of 4');
    for (let at = 0; at < offsets.length; at += 4) {
      const offset = u32Of(offsets.subarray(at, at + 4))!;
      if (offset + 4 > value.length) throw overlayError(place, `offset ${offset} is outside of the property`);
      put(value, offset, u32Of(value.subarray(offset, offset + 4))! + most);
    }
  }
  for (const child of fixups.children) {
    const counterpart = lookup.child(node, child.name);
    if (counterpart === undefined)
      throw overlayError(`/__local_fixups__${path}/${child.name}`, 'the overlay has no such node');
    fillNode(lookup, counterpart, child, `${path}/${child.name}`, most);
  }
}

/** `/__fixups__`: for each label of the tree, PATH:PROPERTY:OFFSET of where its node's phandle belongs. */
export function fillOutside(lookup: Lookup, root: Draft, overlay: Draft): void {
  const fixups = lookup.child(overlay, '__fixups__');
  const symbols = lookup.child(root, '__symbols__');
  for (const { name: label, value } of fixups?.properties ?? []) {
    if (value.at(-1) !== 0) throw overlayError(`/__fixups__:${label}`, 'its value is no list of texts');
    const phandle = phandleOfLabel(lookup, root, symbols, label);
    for (const entry of latin1(value.subarray(0, -1)).split('\0')) fillEntry(lookup, overlay, label, entry, phandle);
  }
}

function phandleOfLabel(lookup: Lookup, root: Draft, symbols: Draft | undefined, label: string): number {
  const path = symbols === undefined ? undefined : cString(lookup.property(symbols, label));
  const node = path === undefined ? undefined : lookup.at(root, path);
  const phandle = node === undefined ? 0 : phandleOf(node);
  if (phandle !== 0) return phandle;
  const problem =
    symbols === undefined
      ? 'the tree has no /__symbols__'
      : path === undefined
        ? `the tree's /__symbols__ have no ${label}`
        : `${path} of the tree ${node === undefined ? 'does not exist' : 'has no phandle'}`;
  throw overlayError(
    `/__fixups__:${label}`,
    problem,
    'Compile the tree with its symbols: `pk dt compile --symbols`, `dtc -@`.',
  );
}

const ENTRY = /^([^:]+):([^:]+):(\d{1,10})$/s;

function fillEntry(lookup: Lookup, overlay: Draft, label: string, entry: string, phandle: number): void {
  const place = `/__fixups__:${label}, ${JSON.stringify(entry.slice(0, 150))}`;
  const found = ENTRY.exec(entry);
  if (found === null) throw overlayError(place, 'it is not PATH:PROPERTY:OFFSET');
  const [, path, name, digits] = found;
  const node = lookup.at(overlay, path!);
  const value = node === undefined ? undefined : lookup.property(node, name!);
  if (value === undefined) throw overlayError(place, 'the overlay has no such property');
  const offset = Number(digits);
  if (offset + 4 > value.length) throw overlayError(place, 'it is outside of the property');
  put(value, offset, phandle);
}

function put(bytes: Uint8Array, at: number, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).setUint32(at, value >>> 0);
}
