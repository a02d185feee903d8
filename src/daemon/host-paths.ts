import { existsSync } from 'node:fs';
import type { CreateRequest } from '../instance/index.ts';
import { PolykernelError } from '../sys/errors.ts';

/** Says at once what would only fail at the start: throws `not-found` for a root or volume that is not there. */
export function checkHostPaths(root: string, request: CreateRequest): void {
  const missing = (field: string, path: string) =>
    new PolykernelError('not-found', `${field}: there is no ${path} on this machine`, { field, value: path });
  if (root !== 'host' && !existsSync(root)) throw missing('root', root);
  for (const [index, volume] of (request.volumes ?? []).entries()) {
    if (!existsSync(volume.source)) throw missing(`volumes[${index}].source`, volume.source);
  }
}
