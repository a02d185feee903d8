/** Which machine a command of `pk pci` looks at. */
import { type ConfigSpace, openConfigSpace } from '../../pci/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { layout } from '../../sys/paths.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';
import { readLarge } from '../kit/text-file.ts';

export const PLACE_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  root: { value: 'DIR', complete: 'file', help: "another machine's sys (default /)" },
  from: { value: 'FILE', complete: 'file', help: 'a dump, as `lspci -D -xxxx` writes it' },
};

/** This machine with what is stored of it, or another without. Throws `invalid`, and `not-found` for a file that is not there. */
async function openPlace(invocation: Invocation): Promise<ConfigSpace> {
  const [root, from] = [invocation.value('root'), invocation.value('from')];
  if (root !== undefined && from !== undefined)
    throw new PolykernelError('invalid', '--root and --from both say which machine: give one of them', {
      field: '--from',
      value: from,
    });
  if (from !== undefined) {
    return openConfigSpace({ dump: await readLarge(from, '--from', 'latin1') });
  }
  return root === undefined ? openConfigSpace({ store: layout().pciCache }) : openConfigSpace({ root });
}

/** Uses what openPlace() gives, and closes it. */
export async function withPlace<T>(invocation: Invocation, use: (place: ConfigSpace) => Promise<T>): Promise<T> {
  using place = await openPlace(invocation);
  return await use(place);
}
