import { expect, it } from 'vitest';
import type { Journal } from '../core/journal.ts';
import type { Kernel, SharedRegion } from '../driver/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { KernelView } from './channel-view.ts';

const region = { id: 'a'.repeat(32), name: 'orders' } as SharedRegion;

/** A kernel that refuses what it is shown, and what it was told to forget. */
function refusing(code: 'internal' | 'unsupported' | 'not-ready') {
  const forgotten: string[] = [];
  const kernel = {
    attachRegion: () => Promise.reject(new PolykernelError(code, 'no')),
    detachRegion: async ({ id }: SharedRegion) => void forgotten.push(id),
  } as unknown as Kernel;
  return { view: new KernelView(kernel, [], {} as Journal), forgotten };
}

it.each(['internal', 'not-ready'] as const)('takes a channel away that a guest has half (%s)', async (code) => {
  const { view, forgotten } = refusing(code);
  await view.show(() => ({ region, lostId: undefined }));
  await view.hide(region);
  await view.hide(region);
  expect(forgotten).toEqual([region.id]);
});

it('takes nothing away from a kernel that is shown no channel while it runs', async () => {
  const { view, forgotten } = refusing('unsupported');
  await view.show(() => ({ region, lostId: undefined }));
  await view.hide(region);
  expect(forgotten).toEqual([]);
});
