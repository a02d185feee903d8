import type { Handlers } from '../core/route.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { Adoption } from './adoption.ts';
import type { kerfApi } from './api.ts';
import type { KerfReport, KerfRequest } from './types.ts';

/** How long a kernel has to stop by itself. */
const GRACE_MS = 10_000;

/** What is taken over of kerf. */
export const kerfHandlers = (adoption: () => Promise<Adoption>): Handlers<typeof kerfApi> => ({
  kerf: async () => (await adoption()).report(),
  actOnKerf: async ({ body }) => act(await adoption(), body),
});

async function act(adoption: Adoption, { act, name, dryRun, keep, graceMs, force }: KerfRequest): Promise<KerfReport> {
  if (act === 'import') return adoption.import(dryRun ?? false);
  if (act === 'release') await adoption.release(keep ?? false);
  else {
    if (name === undefined)
      throw new PolykernelError('invalid', `${act} needs the name of a kernel`, {
        field: 'name',
        hint: 'See pk kerf ls.',
      });
    if (act === 'start') await adoption.start(name);
    else if (act === 'stop') await adoption.stop(name, graceMs ?? GRACE_MS);
    else await adoption.remove(name, force ?? false);
  }
  return adoption.report();
}
