import type { Handlers } from '../core/route.ts';
import type { PrewarmRequest } from '../instance/contract.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { imageApi } from './api.ts';
import type { Images } from './requests.ts';

/** Who starts kernels from images. */
export interface Users {
  list(): readonly { name: string; record: { spec: { image: string } } }[];
  prewarm(request: PrewarmRequest, signal: AbortSignal): Promise<{ driver: string; image: string }>;
}

/** Kernel images. */
export const imageHandlers = (images: Images, users: () => Users): Handlers<typeof imageApi> => ({
  images: () => images.list(),
  removeImage: ({ params }) =>
    images.remove(params.name, (name) =>
      users()
        .list()
        .flatMap((user) => (user.record.spec.image === name ? [user.name] : [])),
    ),
  pullImage: (call) => images.pull(call.body.name, call.progress, call.signal),
  importImage: (call) => images.import(call.body, call.progress, call.signal),
  async prewarm({ body, progress, signal }) {
    progress('choosing the driver');
    const done = await users().prewarm(body, signal);
    if (signal.aborted) throw new PolykernelError('unavailable', 'the client went away');
    return done;
  },
});
