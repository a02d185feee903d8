/** `[ADDRESS:][HOST:]GUEST[/PROTOCOL]`, as people write which port of this machine leads to which port of a kernel. */

// Not by `import`: see src/sys/node.ts.
const { isIPv4, isIPv6, SocketAddress } = process.getBuiltinModule('node:net');

export interface PublishedPortText {
  hostAddress?: string;
  /** 0: one that is free. */
  hostPort: number;
  guestPort: number;
  /** Default: tcp. */
  protocol?: 'udp';
}

/** As it is recorded. */
interface Port extends Required<Omit<PublishedPortText, 'protocol'>> {
  protocol: 'tcp' | 'udp';
}

export const PUBLISH_FORM = '[ADDRESS:][HOST:]GUEST[/udp]';
export const PUBLISH_HINT =
  'Give the port here and the port there: 8080:80, [::1]:8080:80, 8053:53/udp, 8000-8010:80-90, or 0:80 for one that is free.';

/** Of one instance: each has a process. */
export const MOST_PORTS = 64;
const LAST_PORT = 65_535;

/** The ports that a text names, several for a range, or what is wrong with it. GUEST alone is led to by a port that is free. */
export function parsePublished(text: string): { ports: PublishedPortText[] } | { reason: string } {
  try {
    return { ports: read(text.trim()) };
  } catch (error) {
    if (error instanceof RangeError) return { reason: error.message };
    throw error;
  }
}

function read(text: string): PublishedPortText[] {
  const slash = text.lastIndexOf('/');
  const protocol = slash < 0 ? 'tcp' : text.slice(slash + 1).toLowerCase();
  if (protocol !== 'tcp' && protocol !== 'udp')
    throw new RangeError(`${shown(protocol)} is no protocol that can be published: tcp or udp`);
  const { address, host, guest } = parts(slash < 0 ? text : text.slice(0, slash));
  const [there, thereTo] = range(guest);
  if (there === 0) throw new RangeError('0 is no port of a kernel: it is for a free one of this machine');
  const count = thereTo - there + 1;
  if (count > MOST_PORTS) throw new RangeError(`${guest} are ${count} ports, and there can be ${MOST_PORTS}`);
  const [here, hereTo] = host === '' ? [0, 0] : range(host);
  const isFree = here === 0 && hereTo === 0;
  if (here === 0 && !isFree) throw new RangeError(`${host} begins with 0, which is for one that is free`);
  if (!isFree && hereTo - here + 1 !== count)
    throw new RangeError(`${host} and ${guest} are not as many: ${hereTo - here + 1} and ${count}`);
  return Array.from({ length: count }, (_, index) => ({
    ...(address !== undefined && { hostAddress: address }),
    hostPort: isFree ? 0 : here + index,
    guestPort: there + index,
    // Left out where it is the default: what a stack's file once said stays what it says.
    ...(protocol === 'udp' && { protocol }),
  }));
}

function parts(text: string): { address?: string; host: string; guest: string } {
  if (text.startsWith('[')) {
    const [, inside, rest] = /^\[([^\]]*)\]:(.*)$/.exec(text) ?? [];
    const [host, guest, more] = rest?.split(':') ?? [];
    if (host === undefined || guest === undefined || more !== undefined)
      throw new RangeError(`${shown(text)} is not [ADDRESS]:HOST:GUEST`);
    return { address: checkAddress(inside!, isIPv6), host, guest };
  }
  const [first = '', second, third, more] = text.split(':');
  if (more !== undefined) throw new RangeError('an IPv6 address is written in brackets: [::1]:8080:80');
  if (third !== undefined) return { address: checkAddress(first, isIPv4), host: second!, guest: third };
  if (second !== undefined && isIPv4(first))
    throw new RangeError(`${shown(text)} names no port of ${first}: ${first}:8080:${second}, or ${first}::${second}`);
  return second === undefined ? { host: '', guest: first } : { host: first, guest: second };
}

function checkAddress(text: string, isAddress: (text: string) => boolean): string {
  const reason = isAddress(text) ? addressProblem(text) : 'is no IP address';
  if (reason !== undefined) throw new RangeError(`${shown(text)} ${reason}`);
  return text;
}

/** Why an address cannot be listened on; undefined for others. */
export function addressProblem(address: string): string | undefined {
  if (!isIPv4(address) && !isIPv6(address)) return 'is no IP address';
  if (address.includes('%')) return 'names an interface, which cannot be published on';
  if (/^::ffff:/.test(canonicalAddress(address))) return 'is an IPv4 address: give that';
  return undefined;
}

function range(text: string): [number, number] {
  const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  if (first === undefined) throw new RangeError(`${shown(text)} is no port, nor a range of them such as 8000-8010`);
  const [from, to] = [Number(first), Number(last)];
  const wrong = [from, to].find((port) => port > LAST_PORT);
  if (wrong !== undefined) throw new RangeError(`there is no port ${wrong}: the last is ${LAST_PORT}`);
  if (to < from) throw new RangeError(`${text} ends before it begins`);
  return [from, to];
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 100));

/** The one way of writing it by which addresses are compared. */
export function canonicalAddress(address: string): string {
  return isIPv6(address) ? new SocketAddress({ address, family: 'ipv6' }).address : address;
}

/** Whether two cannot be listened on at once. */
export function meets(a: Port, b: Port): boolean {
  if (a.hostPort !== b.hostPort || a.protocol !== b.protocol || a.hostPort === 0) return false;
  if (isIPv6(a.hostAddress) !== isIPv6(b.hostAddress)) return false;
  return a.hostAddress === b.hostAddress || [a, b].some(({ hostAddress }) => /^(0\.0\.0\.0|::)$/.test(hostAddress));
}

/** `127.0.0.1:8080`, `[::1]:8080`. */
export const hostText = ({ hostAddress, hostPort }: Pick<Port, 'hostAddress' | 'hostPort'>): string =>
  `${isIPv6(hostAddress) ? `[${hostAddress}]` : hostAddress}:${hostPort}`;

/** `127.0.0.1:8080->80/tcp`, neighbours as a range. */
export function portsText(ports: readonly Port[]): string {
  const runs: Port[][] = [];
  for (const port of ports) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    const follows =
      last?.hostAddress === port.hostAddress &&
      last.protocol === port.protocol &&
      last.hostPort + 1 === port.hostPort &&
      last.guestPort + 1 === port.guestPort;
    if (follows) run!.push(port);
    else runs.push([port]);
  }
  return runs
    .map((run) => {
      const [first, last] = [run[0]!, run.at(-1)!];
      const to = (end: number) => (run.length === 1 ? '' : `-${end}`);
      return `${hostText(first)}${to(last.hostPort)}->${first.guestPort}${to(last.guestPort)}/${first.protocol}`;
    })
    .join(', ');
}
