/** Networks of state directories that are gone. */
import type { Journal } from '../core/journal.ts';
import { signalProcess } from '../core/process-id.ts';
import { oursNaming } from '../driver/shim/process.ts';
import { HostNetwork } from './bridge.ts';
import { NamedNamespace } from './namespace.ts';
import type { NetworkNotes } from './network-notes.ts';
import { Uplink } from './uplink.ts';

const HAPROXY = /(?:^|\/)haproxy$/;

/** Removes networks of state directories that were removed while no daemon saw it, once no kernel has a port in them. */
export async function removeLostNetworks(notes: NetworkNotes, gateway: string, journal: Journal): Promise<void> {
  for (const { name, home } of await notes.lost()) {
    try {
      const namespace = new NamedNamespace(name);
      const host = new HostNetwork(namespace, gateway);
      if ((await host.ports()).length > 0) continue;
      // It has the namespace, and ports of this machine; all else sees for itself that its directory is gone.
      for (const id of oursNaming(`${home}/`, HAPROXY)) signalProcess(id, 'SIGKILL');
      await new Uplink(name, namespace, gateway).remove();
      await host.remove();
      notes.forget(name);
    } catch (error) {
      journal.error(`removing the network ${name} of a state directory that is gone`, error);
    }
  }
}
