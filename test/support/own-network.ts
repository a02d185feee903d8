/** A private network with one port, as a daemon makes it for a kernel, for tests that start kernels by themselves. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Capabilities, LaunchSpec } from '../../src/driver/index.ts';
import { HostNetwork } from '../../src/network/bridge.ts';
import { KeptNamespace } from '../../src/network/kept-namespace.ts';
import { NamedNamespace } from '../../src/network/namespace.ts';

interface OwnNetwork extends AsyncDisposable {
  joined: NonNullable<LaunchSpec['network']>;
}

/** `directory` keeps what is kept of it; `port`: as the driver's capabilities have it, of which `none` needs no network at all. */
export async function ownNetwork(directory: string, port: Capabilities['networkPort']): Promise<OwnNetwork> {
  const namespace =
    process.getuid?.() === 0
      ? new NamedNamespace(`pk-test-${randomBytes(4).toString('hex')}`)
      : new KeptNamespace(join(directory, 'network.keeper'));
  const host = new HostNetwork(namespace, '10.9.0.1/16');
  const joined = {
    port: host.port(2, '10.9.0.2', '255.255.0.0'),
    hosts: '127.0.0.1 localhost\n10.9.0.3 neighbour\n',
    wayOut: null,
  };
  if (port !== 'none') {
    await host.ensure();
    await host.addPort(joined.port, []);
  }
  return { joined, [Symbol.asyncDispose]: () => host.remove() };
}
