/** What `--device` asks for, and which function that is. Pure. */
import { PolykernelError } from '../sys/errors.ts';
import { normalizePciAddress } from '../topology/pci-address.ts';
import type { SeenFunction } from './functions.ts';
import { type NetworkSettings, networkSettings } from './network-settings.ts';

/** One function by its address, or any virtual one of a kind; `name`: what the owner calls it; `network`: null = as it is. */
export type DeviceWish = { name: string | null; network: NetworkSettings | null } & (
  | { kind: 'address'; address: string }
  | { kind: 'virtual'; of: keyof typeof KINDS }
);

/** Class codes by their first bytes (PCI Code and ID Assignment Specification). */
const KINDS = {
  any: [],
  network: [0x02],
  nvme: [0x0108],
  storage: [0x01],
  gpu: [0x03],
  accelerator: [0x12, 0x0b40],
  crypto: [0x10],
} as const satisfies Readonly<Record<string, readonly number[]>>;

/** `0000:3b:00.2`, `vf:network`, each with `=NAME` and `,SETTING=VALUE...` behind it. Throws `invalid`. */
export function deviceWish(text: string, field = '--device'): DeviceWish {
  const [itself = '', ...words] = text.split(',');
  const [, what = '', , name = null] = /^([^=]*)(=(.*))?$/s.exec(itself) ?? [];
  const network = words.length === 0 ? null : networkSettings(words, field);
  if (name !== null && !/^[a-z][a-z0-9-]{0,14}$/.test(name)) {
    throw new PolykernelError('invalid', `${field}: ${JSON.stringify(name)} is no name of a device`, {
      field,
      value: text,
      hint: 'Use up to 15 lower-case letters, digits and dashes, such as nic0.',
    });
  }
  if (!what.startsWith('vf:')) return { kind: 'address', address: normalizePciAddress(what, field), name, network };
  const of = what.slice('vf:'.length);
  if (Object.hasOwn(KINDS, of)) return { kind: 'virtual', of: of as keyof typeof KINDS, name, network };
  throw new PolykernelError('invalid', `${field}: there are no virtual functions of the kind ${JSON.stringify(of)}`, {
    field,
    value: text,
    hint: `Use vf: with ${Object.keys(KINDS).join(', ')}.`,
  });
}

/** What is looked at to choose. */
type Choosable = Pick<SeenFunction, 'address' | 'class' | 'node' | 'physicalFunction'>;

/** Whether it is a virtual function of a kind. */
export const isVirtual = ({ class: code, physicalFunction }: Choosable, of: keyof typeof KINDS): boolean =>
  physicalFunction !== null && isOf(code, KINDS[of]);

/**
 * The function for a wish among those that are `free`: of several of its kind one on `nodes`, if there is one, else one whose node is
 * not known, else any. Undefined when there is none.
 */
export function chooseFunction<Each extends Choosable>(
  wish: DeviceWish,
  free: readonly Each[],
  nodes: readonly number[],
): Each | undefined {
  if (wish.kind === 'address') return free.find(({ address }) => address === wish.address);
  const distance = ({ node }: Each) => (node === null ? 1 : nodes.length === 0 || nodes.includes(node) ? 0 : 2);
  const able = free.filter((each) => isVirtual(each, wish.of));
  return able.toSorted((a, b) => distance(a) - distance(b))[0];
}

const MOST_HOLDERS = 4;

/** Why no virtual function of a kind is free among `all`, and what to do; `holder`: who has one, as `web` or `the pool`. */
export function noneFree(
  of: keyof typeof KINDS,
  all: readonly Choosable[],
  holder: (address: string) => string,
): { message: string; hint: string } {
  const message = `no virtual function${of === 'any' ? '' : ` of the kind ${of}`} is free`;
  const made = all.filter((each) => isVirtual(each, of));
  if (made.length === 0)
    return { message: `${message}: there are none`, hint: 'Make some: pk sriov enable ADDRESS --vfs N.' };
  const holders = [...Map.groupBy(made, ({ address }) => holder(address))];
  const some = holders.slice(0, MOST_HOLDERS).map(([who, { length }]) => `${who} ${length}`);
  const more = holders.length > MOST_HOLDERS ? `, and ${holders.length - MOST_HOLDERS} others` : '';
  return {
    message: `${message}: of ${made.length} there are ${some.join(', ')}${more}`,
    hint: 'Release one: pk sriov release VF; `pk sriov ls` shows whose each is. Their number changes only while none is in use.',
  };
}

/** Throws `unsupported` for settings of what is no virtual function of a network card. */
export function checkSettings({ address, class: kind, physicalFunction }: SeenFunction, { network }: DeviceWish): void {
  if (network === null || (physicalFunction !== null && isOf(kind, KINDS.network))) return;
  throw new PolykernelError('unsupported', `${address} has no network settings: it is no virtual network function`, {
    field: 'device',
    value: address,
    hint: 'Leave them out.',
  });
}

const isOf = (code: number, prefixes: readonly number[]): boolean =>
  prefixes.length === 0 || prefixes.some((prefix) => code >> (prefix > 0xff ? 8 : 16) === prefix);
