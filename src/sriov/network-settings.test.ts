import { expect, it } from 'vitest';
import { networkSettings, otherwise, settingCommands, settingsText, shownSettings } from './network-settings.ts';

it('reads words, and refuses what is none, twice or out of bounds', () => {
  const words = ['mac=52:54:00:AB:cd:01', 'vlan=100', 'qos=3', 'max-rate=1000', 'trust=on', 'spoof-check=off'];
  const settings = networkSettings(words, 'settings');
  expect(settings).toEqual({
    ...{ mac: '52:54:00:ab:cd:01', vlan: 100, qos: 3, maxRate: 1000, trust: true, spoofCheck: false },
  });
  expect(settingsText(settings)).toBe(words.join(' ').toLowerCase());
  for (const bad of ['vlan=4095', 'vlan=', 'vlan', 'mac=01:00:5e:00:00:01', 'mac=1', 'trust=yes', 'qos=8', 'mtu=9', ''])
    expect(() => networkSettings([bad], 'settings'), bad).toThrow(expect.objectContaining({ code: 'invalid' }));
  expect(() => networkSettings(['vlan=1', 'vlan=2'], 'settings')).toThrow('"vlan=2" is no setting');
});

it('finds them in what ip says, of versions with other names too', () => {
  const now = { vf: 1, link_type: 'ether', address: '52:54:00:AB:CD:01', vlan_list: [{ vlan: 7, qos: 2 }] };
  const rest = { rate: { max_tx: 100, min_tx: 0 }, spoofchk: true, link_state: 'auto', trust: false };
  const all = { mac: '52:54:00:ab:cd:01', vlan: 7, qos: 2, maxRate: 100, minRate: 0, spoofCheck: true, trust: false };
  expect(shownSettings([{ vfinfo_list: [{ vf: 0 }, { ...now, ...rest }] }], 1)).toEqual(all);
  const old = { vf: 1, mac: '52:54:00:ab:cd:01', vlan: 7, qos: 2, tx_rate: 100 };
  expect(shownSettings([{ vfinfo_list: [old] }], 1)).toEqual({
    ...{ mac: '52:54:00:ab:cd:01', vlan: 7, qos: 2, maxRate: 100, minRate: 0 },
  });
  for (const nothing of [undefined, [], [{}], [{ vfinfo_list: 3 }], 'x'])
    expect(shownSettings(nothing, 1)).toBeUndefined();
});

it('changes only what is otherwise, and with it what ip would set to 0', () => {
  const now = { mac: '52:54:00:ab:cd:01', vlan: 7, qos: 2, maxRate: 100, minRate: 10, trust: false };
  const change = otherwise({ vlan: 8, minRate: 10, trust: true }, now);
  expect(change).toEqual({ vlan: 8, trust: true });
  expect(settingCommands(change, now)).toEqual([
    ['vlan', '8', 'qos', '2'],
    ['trust', 'on'],
  ]);
  expect(settingCommands({ minRate: 0 }, now)).toEqual([['max_tx_rate', '100', 'min_tx_rate', '0']]);
});
