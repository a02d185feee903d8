/** Small overlays that ask for many lookups in a large tree: each would take hours. */
import { expect, it } from 'vitest';
import { encode } from '../blob/encode.ts';
import type { DeviceNode, DeviceProperty, DeviceTree } from '../tree.ts';
import { applyOverlay } from './apply.ts';

const MANY = 50_000;
const node = (name: string, properties: DeviceProperty[], children: DeviceNode[] = []): DeviceNode => ({
  name,
  properties,
  children,
});
const text = (name: string, value: string) => ({ name, value: Buffer.from(`${value}\0`) });
const number = (name: string, value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return { name, value: bytes };
};
const times = <T>(make: (index: number) => T): T[] => Array.from({ length: MANY }, (_, index) => make(index));
const tree = (properties: DeviceProperty[], children: DeviceNode[]): DeviceTree => ({
  reservations: [],
  bootCpu: 0,
  root: node('', properties, children),
});

const last = MANY - 1;
const symbols = node(
  '__symbols__',
  times((index) => text(`l${index}`, `/n${last}`)),
);
const base = tree([], [...times((index) => node(`n${index}`, [number('phandle', index + 1)])), symbols]);
const inRoot = (content: DeviceNode) => node('fragment@0', [text('target-path', '/')], [content]);

it.each([
  [
    'new children of one node',
    [
      inRoot(
        node(
          '__overlay__',
          [],
          times((index) => node(`m${index}`, [])),
        ),
      ),
    ],
  ],
  [
    'properties of one node',
    [
      inRoot(
        node(
          '__overlay__',
          times((index) => text(`p${index}`, 'x')),
        ),
      ),
    ],
  ],
  ['targets', times((index) => node(`f${index}`, [number('target', MANY)], [node('__overlay__', [])]))],
  [
    'references to labels',
    [
      ...times((index) => node(`q${index}`, [number('t', 0)])),
      node(
        '__fixups__',
        times((index) => text(`l${index}`, `/q${last}:t:0`)),
      ),
    ],
  ],
  [
    'symbols',
    [
      node('f', [number('target', MANY)], [node('__overlay__', [])]),
      node(
        '__symbols__',
        times((index) => text(`s${index}`, '/f/__overlay__')),
      ),
    ],
  ],
])('an overlay with many %s is refused in bounded time', (_, children) => {
  expect(() => applyOverlay(base, tree([], children))).toThrow(/to look through for an overlay/);
});

it('a tree with many long names is refused in bounded time', () => {
  const names = times((index) => text(`${index}${'x'.repeat(200)}`, ''));
  expect(() => encode(tree(names, []))).toThrow(/more than 1000 long names/);
});
