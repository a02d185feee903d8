import type { FastifyReply } from 'fastify';
import { PolykernelError } from '../../sys/errors.ts';
import type { ApiContext } from '../context.ts';

/** A signal that is aborted when the client goes away or the daemon ends. */
export function untilGone(reply: FastifyReply, context: ApiContext): AbortSignal {
  const controller = new AbortController();
  const onEnding = () =>
    controller.abort(
      new PolykernelError('unavailable', 'the daemon is ending', { hint: 'Try again: it is started by itself.' }),
    );
  if (context.ending.aborted) onEnding();
  context.ending.addEventListener('abort', onEnding, { once: true });
  reply.raw.once('close', () => {
    context.ending.removeEventListener('abort', onEnding);
    if (!reply.raw.writableFinished) controller.abort(new PolykernelError('unavailable', 'the client went away'));
  });
  return controller.signal;
}
