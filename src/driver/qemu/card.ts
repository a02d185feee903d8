/**
 * The network card of a QEMU kernel: a virtio card, with a tap joined to the network behind it.
 *
 * Plugging a card in costs an emulated guest more than a second. So a template has one, with nothing behind it and no driver at it, and
 * each of its clones has it: what is behind it is there before the clone's state is, and the driver comes to it when it is to be used.
 * Then the driver sees what this card can do, of which that of the template could do less.
 */
import { type GuestLink, networkSteps, type Pair } from '../../guest/index.ts';
import type { LaunchSpec } from '../driver.ts';
import { CARD_ADDRESS, CARD_ID } from './command.ts';
import { eventually, pass } from './plug.ts';
import type { Qmp } from './qmp.ts';

type Network = NonNullable<LaunchSpec['network']>;

const NETDEV = 'net0';
/** The first and only card of the guest, which has no udev to rename it. */
const CARD = 'eth0';
/** As the guest knows it. */
const FUNCTION = `0000:00:${CARD_ADDRESS.replace('0x', '').padStart(4, '0')}`;

/** Adds the card to a machine that has none. */
export async function addCard(monitor: Qmp, directory: string, { port }: Network): Promise<void> {
  const card = { driver: 'virtio-net-pci', id: CARD_ID, addr: CARD_ADDRESS, romfile: '' };
  await pass(directory, `pass-tap ${port.namespace} ${port.interface}`, 'its network card');
  await monitor.execute('getfd', { fdname: NETDEV });
  await monitor.execute('netdev_add', { type: 'tap', id: NETDEV, fd: NETDEV });
  await monitor.execute('device_add', { ...card, netdev: NETDEV, mac: port.mac });
}

/** Adds the card to a guest that has booted without one. */
export async function plugCard(monitor: Qmp, directory: string, guest: GuestLink, network: Network): Promise<void> {
  await addCard(monitor, directory, network);
  await eventually(() => guest.configure(networkSteps(CARD, network)));
}

/** For the guest of a template: no driver is at its card. */
export const leaveCard = (): Pair => ['leave-card', FUNCTION];

/** For the guest of a clone: the driver comes to the card, which has the template's hardware address yet. */
export const takeCard = (network: Network): Pair[] => [
  ['take-card', `${FUNCTION}\x1f${network.port.mac}`],
  ...networkSteps(CARD, network),
];
