/** A page that a command writes when it has done its work: whether it can be written is told before, not when the work is done. */
import { constants } from 'node:fs';
import { access, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';

export const PAGE_OPTION = '--html';

/** Rejects when a file could not be written there as things are; makes nothing. `path`: undefined when no page is wanted. */
export async function checkPage(path: string | undefined): Promise<void> {
  if (path === undefined) return;
  const status = await stat(path).catch(() => undefined);
  if (status?.isDirectory())
    throw new PolykernelError('invalid', `${PAGE_OPTION}: ${path} is a directory`, {
      ...{ field: PAGE_OPTION, value: path, hint: `Name the file in it: ${PAGE_OPTION} ${path}/page.html` },
    });
  await access(status === undefined ? dirname(path) : path, constants.W_OK).catch((error) => failed(path, error));
}

/** Rejects when it cannot be written. */
export async function writePage(path: string | undefined, page: () => string): Promise<void> {
  if (path !== undefined) await writeFile(path, page()).catch((error) => failed(path, error));
}

function failed(path: string, error: unknown): never {
  const { code, message } = asPolykernelError(error, `${PAGE_OPTION}: writing ${path}`);
  throw new PolykernelError(code, message, { field: PAGE_OPTION, value: path, cause: error });
}
