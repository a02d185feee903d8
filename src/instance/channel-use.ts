/** Channels that an instance asks for. */
import type { ChannelSide } from '../ring/index.ts';

/** Asked for at its creation: made when absent, with the host at its other end. */
export interface ChannelUse {
  name: string;
  side: ChannelSide;
}

export const channelUsesSchema = {
  type: 'array',
  maxItems: 16,
  description: 'Channels at whose end this instance is; made when absent, with the host at the other end',
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['name', 'side'],
    properties: {
      name: { type: 'string', description: 'Name of the channel' },
      side: { enum: ['send', 'recv'] },
    },
  },
} as const;
