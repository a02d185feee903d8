/** Numbers of channels for Prometheus: a row for each family. */
import { type FamilyOf, familiesFor } from '../core/metric.ts';
import type { ChannelStatus } from './types.ts';

const { row, gauge } = familiesFor<ChannelStatus>('polykernel_channel_', ({ name }) => ({ channel: name }));

/** One number of each side. */
const ofSides = (key: 'messages' | 'bytes' | 'stalls' | 'drops', help: string): FamilyOf<ChannelStatus> =>
  row('counter', `${key}_total`, help, ({ from, to }) => [
    [{ side: 'send', owner: from.owner }, from[key]],
    [{ side: 'recv', owner: to.owner }, to[key]],
  ]);

export const channelMetrics: readonly FamilyOf<ChannelStatus>[] = [
  gauge('depth_bytes', 'Bytes of the ring in use.', ({ depthBytes }) => depthBytes),
  gauge('size_bytes', 'Size of the ring.', ({ sizeBytes }) => sizeBytes),
  ofSides('messages', 'Messages sent or taken.'),
  ofSides('bytes', 'Bytes of these messages.'),
  ofSides('stalls', 'Times a side slept because the ring was full or empty.'),
  ofSides('drops', 'Messages dropped because the ring was full.'),
];
