import { expect, it } from 'vitest';
import type { Kernel } from '../../src/driver/index.ts';
import { NameTeller } from '../../src/network/name-teller.ts';

it('keeps at most one file on its way to a guest and the newest one waiting, however often names change', async () => {
  const written: string[] = [];
  const release: (() => void)[] = [];
  const guest = {
    name: 'mute',
    writeFile: (_path: string, _mode: number, content: Uint8Array) => {
      written.push(Buffer.from(content).toString());
      return new Promise<void>((resolve) => release.push(resolve));
    },
  };
  const kernel = { guest } as unknown as Kernel;
  const teller = new NameTeller(() => {});
  for (let at = 0; at < 1000; at++) teller.tell(kernel, Buffer.from(`hosts ${at}`));
  expect(written).toEqual(['hosts 0']);
  release.shift()!();
  await new Promise((resolve) => setImmediate(resolve));
  expect(written).toEqual(['hosts 0', 'hosts 999']);
  release.shift()!();
  await new Promise((resolve) => setImmediate(resolve));
  expect(written).toHaveLength(2);
});
