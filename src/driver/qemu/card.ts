/** The network card of a QEMU kernel: a tap joined to the network, and a virtio card plugged in for it. */
import { type GuestLink, networkSteps } from '../../guest/index.ts';
import type { LaunchSpec } from '../driver.ts';
import { eventually, pass } from './plug.ts';
import type { Qmp } from './qmp.ts';

const NETDEV = 'net0';
/** Below the places of channels, above those of the machine itself. */
const CARD_ADDRESS = '0xf.0';
/** The first and only card of the guest, which has no udev to rename it. */
const CARD = 'eth0';

export async function plugCard(
  monitor: Qmp,
  directory: string,
  guest: GuestLink,
  network: NonNullable<LaunchSpec['network']>,
): Promise<void> {
  const { port } = network;
  await pass(directory, `pass-tap ${port.namespace} ${port.interface}`, 'its network card');
  await monitor.execute('getfd', { fdname: NETDEV });
  await monitor.execute('netdev_add', { type: 'tap', id: NETDEV, fd: NETDEV });
  await monitor.execute('device_add', {
    driver: 'virtio-net-pci',
    id: 'card',
    netdev: NETDEV,
    mac: port.mac,
    addr: CARD_ADDRESS,
    // Nothing boots from it.
    romfile: '',
  });
  await eventually(() => guest.configure(networkSteps(CARD, network)));
}
