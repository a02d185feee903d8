import { expect, it } from 'vitest';
import { checkPort, groupFilter, portFilter } from './port-rules.ts';

const RULES = { device: 'p2', mac: '02:50:0a:d5:00:02', address: '10.213.0.2' };
const OPTIONS = {
  learning: false,
  flood: false,
  mcast_flood: false,
  bcast_flood: true,
  mcast_to_unicast: false,
  hairpin: false,
};
/** As nft shows it. */
const FILTER = `table netdev pk-p2 {
	chain in {
		type filter hook ingress device "p2" priority filter; policy drop;
		ether saddr != 02:50:0a:d5:00:02 drop
		ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ip saddr 10.213.0.2 accept
		ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 arp saddr ether 02:50:0a:d5:00:02 arp saddr ip 10.213.0.2 accept
		ether daddr ff:ff:ff:ff:ff:ff arp saddr ether 02:50:0a:d5:00:02 arp saddr ip 10.213.0.2 accept
	}
}`;
const link = (options: object) => [{ linkinfo: { info_slave_data: options } }];
const FACTS = {
  link: link(OPTIONS),
  forwarding: [{ mac: RULES.mac, state: 'static', master: 'br0' }],
  filter: FILTER,
};

it('a port whose kernel shows all of it is confined', () => {
  expect(() => checkPort(RULES, FACTS)).not.toThrow();
});

it.each([
  ['learning', { link: link({ ...OPTIONS, learning: true }) }, /learning is true/],
  ['flooding', { link: link({ ...OPTIONS, flood: true }) }, /flood is true/],
  ['an option that the kernel does not know', { link: link({ ...OPTIONS, mcast_flood: undefined }) }, /mcast_flood/],
  ['no port at all', { link: [{}] }, /learning is undefined/],
  ['no entry', { forwarding: [] }, /no static entry/],
  ['an entry that was learnt', { forwarding: [{ mac: RULES.mac, state: '', master: 'br0' }] }, /no static entry/],
  ['no filter', { filter: '' }, /no filter/],
  ['the filter of another', { filter: FILTER.replace('device "p2"', 'device "p3"') }, /no filter/],
  ['a filter that lets pass', { filter: FILTER.replace('policy drop', 'policy accept') }, /no filter/],
  ['one rule more', { filter: FILTER.replace('\n\t}', '\n\t\tether type ip6 accept\n\t}') }, /other frames/],
  ['another address', { filter: FILTER.replace('ip saddr 10.213.0.2', 'ip saddr 10.213.0.0/16') }, /other frames/],
])('%s is none', (_, facts, reason) => {
  expect(() => checkPort(RULES, { ...FACTS, ...facts })).toThrow(
    expect.objectContaining({ code: 'internal', field: 'network', message: expect.stringMatching(reason) }),
  );
});

it('says for each port who it meets', () => {
  const text = groupFilter([['p2', 'p3'], ['p4']], '10.213.0.1/16');
  expect(text).toContain('elements = { "p2" : jump group0, "p3" : jump group0, "p4" : jump group1 }');
  expect(text).toContain('set ports1 { type ifname; elements = { "p4" }; }');
  expect(groupFilter([], '10.213.0.1/16')).not.toContain('elements');
  expect(portFilter(RULES, '02:50:0a:d5:00:01')).toContain('policy drop');
});
