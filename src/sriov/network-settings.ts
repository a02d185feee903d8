/** What the host lays down for a virtual function of a network card, which whoever has that cannot change. Pure. */
import { PolykernelError } from '../sys/errors.ts';

export interface NetworkSettings {
  /** Six bytes in hexadecimal, lower case; all zero = the card's own choice. */
  mac?: string;
  /** 1 to 4094; 0 = none. */
  vlan?: number;
  /** Priority in the VLAN, 0 to 7. */
  qos?: number;
  /** Mbit/s; 0 = no bound. */
  maxRate?: number;
  minRate?: number;
  /** It may become promiscuous, and take other addresses. */
  trust?: boolean;
  /** What it sends with another address than its own is dropped. */
  spoofCheck?: boolean;
}

type Key = keyof NetworkSettings;

/** Of each setting: its word, and the most that a number may be. */
const ROWS: Readonly<Record<Key, { word: string; most?: number }>> = {
  mac: { word: 'mac' },
  vlan: { word: 'vlan', most: 4094 },
  qos: { word: 'qos', most: 7 },
  maxRate: { word: 'max-rate', most: 10_000_000 },
  minRate: { word: 'min-rate', most: 10_000_000 },
  trust: { word: 'trust' },
  spoofCheck: { word: 'spoof-check' },
};
const KEYS = Object.keys(ROWS) as Key[];

const NETWORK_HINT =
  'Settings are mac=52:54:00:12:34:56, vlan=100, qos=0-7, max-rate=MBIT, min-rate=MBIT, trust=on|off, spoof-check=on|off.';

/** Of words such as `vlan=100`. Throws `invalid`. */
export function networkSettings(words: readonly string[], field: string): NetworkSettings {
  const settings: Record<string, unknown> = {};
  for (const text of words) {
    const [, word = '', value = ''] = /^([a-z-]+)=(.*)$/.exec(text) ?? [];
    const key = KEYS.find((each) => ROWS[each].word === word);
    const meant = key === undefined || key in settings ? undefined : meaningOf(key, value);
    if (key === undefined || meant === undefined)
      throw new PolykernelError('invalid', `${field}: ${JSON.stringify(text)} is no setting of a network function`, {
        field,
        value: text,
        hint: NETWORK_HINT,
      });
    settings[key] = meant;
  }
  return settings;
}

function meaningOf(key: Key, value: string): string | number | boolean | undefined {
  const { most } = ROWS[key];
  if (most !== undefined) return /^\d{1,8}$/.test(value) && Number(value) <= most ? Number(value) : undefined;
  if (key !== 'mac') return value === 'on' ? true : value === 'off' ? false : undefined;
  const mac = value.toLowerCase();
  // The lowest bit of the first byte is that of groups.
  return /^([\da-f]{2}:){5}[\da-f]{2}$/.test(mac) && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 ? mac : undefined;
}

/**
 * Those of virtual function `index` in what `ip -j link show dev PF` says (iproute2 4.15 to 6.x differ in names). Undefined when it is not among them.
 */
export function shownSettings(shown: unknown, index: number): NetworkSettings | undefined {
  const [link] = Array.isArray(shown) ? (shown as Record<string, unknown>[]) : [];
  const all = Array.isArray(link?.vfinfo_list) ? (link.vfinfo_list as Record<string, unknown>[]) : [];
  const found = all.find(({ vf }) => vf === index);
  if (found === undefined) return undefined;
  const [tag = found] = Array.isArray(found.vlan_list) ? (found.vlan_list as Record<string, unknown>[]) : [];
  const rate = typeof found.rate === 'object' && found.rate !== null ? (found.rate as Record<string, unknown>) : {};
  const amount = (value: unknown): number => (typeof value === 'number' ? value : 0);
  const address = found.address ?? found.mac;
  return {
    ...(typeof address === 'string' && { mac: address.toLowerCase() }),
    ...{ vlan: amount(tag.vlan), qos: amount(tag.qos) },
    ...{ maxRate: amount(rate.max_tx ?? found.tx_rate), minRate: amount(rate.min_tx) },
    // Drivers without these say nothing of them.
    ...(typeof found.trust === 'boolean' && { trust: found.trust }),
    ...(typeof found.spoofchk === 'boolean' && { spoofCheck: found.spoofchk }),
  };
}

/** What of `wanted` is otherwise now. */
export const otherwise = (wanted: NetworkSettings, now: NetworkSettings): NetworkSettings =>
  Object.fromEntries(KEYS.filter((key) => key in wanted && wanted[key] !== now[key]).map((key) => [key, wanted[key]]));

/**
 * Of a change from `now`, the words behind `ip link set dev PF vf N`, one command each: where a driver refuses one, it is known which. A VLAN goes with its
 * priority, and the rates together, for `ip` sets what it is not told to 0.
 */
export function settingCommands(change: NetworkSettings, now: NetworkSettings): string[][] {
  const all = { ...now, ...change };
  const has = (...keys: Key[]) => keys.some((key) => key in change);
  const on = (value: boolean | undefined) => (value ? 'on' : 'off');
  return [
    ...(has('mac') ? [['mac', change.mac!]] : []),
    ...(has('vlan', 'qos') ? [['vlan', String(all.vlan ?? 0), 'qos', String(all.qos ?? 0)]] : []),
    ...(has('maxRate', 'minRate')
      ? [['max_tx_rate', String(all.maxRate ?? 0), 'min_tx_rate', String(all.minRate ?? 0)]]
      : []),
    ...(has('trust') ? [['trust', on(change.trust)]] : []),
    ...(has('spoofCheck') ? [['spoofchk', on(change.spoofCheck)]] : []),
  ];
}

/** For people: `vlan=100 trust=on`. */
export const settingsText = (settings: NetworkSettings): string =>
  KEYS.flatMap((key) => {
    const value = settings[key];
    return value === undefined ? [] : [`${ROWS[key].word}=${value === true ? 'on' : value === false ? 'off' : value}`];
  }).join(' ');
