/** The request for a channel as JSON Schema: its check, the API's contract and its type in one. */
import type { Value } from '../core/schema.ts';

const endName = {
  type: 'string',
  maxLength: 63,
  description: 'Name of an instance, or `host`. Default host',
  'x-hint': 'Give the name of an instance, which need not exist yet, or host.',
} as const;

export const channelRequestSchema = {
  title: 'ChannelRequest',
  type: 'object',
  additionalProperties: false,
  required: ['name'],
  properties: {
    name: { type: 'string', description: 'Unique among channels' },
    from: { ...endName, description: 'Who sends. Name of an instance, or `host`. Default host' },
    to: { ...endName, description: 'Who receives. Name of an instance, or `host`. Default host' },
    sizeBytes: {
      type: 'integer',
      minimum: 4096,
      maximum: 536_870_912,
      description: 'Bytes for messages under way, a power of two. Default 1 MiB',
      'x-hint': 'Give a power of two from 4K to 512M, such as 1M.',
    },
  },
} as const;

/** What a person asks for. */
export type ChannelRequest = Value<typeof channelRequestSchema>;
